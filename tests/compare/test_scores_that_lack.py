"""A cell that is done and has no score: named, never a crash, and no seed is trained in vain."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.compare import Predictions, Sequential
from triptych.compare.describe import describe
from triptych.compare.run import compare, status
from triptych.errors import UserError, WorkFailed
from triptych.report.judged import judged
from triptych.report.tables import arms_table
from triptych.run import write_json
from triptych.study import Items


def sequential(fake: Any, n_max: int, *qualities: float, **changes: Any) -> Any:
    plan = {"until_decided": Sequential(n_max), "seeds": tuple(range(n_max))}
    return fake.comparison(*qualities, **plan, **changes)


def test_a_pair_without_a_score_is_not_judged_and_the_cell_is_named(
    fake: Any, tmp_path: Path
) -> None:
    fake.scoreless.add(("b", 1))
    verdict = compare(fake.comparison(0.5, 0.6, 0.7), tmp_path / "c")
    lacking, other = verdict["pairs"]
    assert (lacking["verdict"], lacking["interval"]) == ("undecided", None)
    assert lacking["reason"] == "b seed 1 ended without a score (top1)"
    assert lacking["new_items"] is None
    assert other["verdict"] == "better"
    arm = verdict["arms"]["b"]
    assert (arm["n"], arm["scores"]["1"], arm["states"]["1"]) == (2, None, "done")
    assert "b seed 1 ended without a score" in describe(verdict)


def test_a_score_that_is_no_number_is_none(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    file = tmp_path / "c" / "a" / "seed-0" / "result.json"
    record = json.loads(file.read_text())
    record["scores"]["top1"] = float("nan")
    file.write_text(json.dumps(record))
    (pair,) = compare(asked, tmp_path / "c")["pairs"]
    assert pair["reason"] == "a seed 0 ended without a score (top1)"


def test_no_seed_follows_one_that_can_never_be_complete(fake: Any, tmp_path: Path) -> None:
    fake.scoreless |= {("a", 0), ("b", 0)}
    verdict = compare(sequential(fake, 12, 0.5, 0.6), tmp_path / "c")
    assert fake.calls == [("a", 0), ("b", 0)]
    (pair,) = verdict["pairs"]
    assert pair["verdict"] == "undecided"
    ended = "a seed 0, b seed 0 ended without a score (top1): no further seed is looked at"
    assert pair["warnings"] == [ended]
    assert ended in describe(verdict)


def test_a_plan_that_has_ended_says_so_and_lacks_nothing(fake: Any, tmp_path: Path) -> None:
    asked = sequential(fake, 4, 0.5, 0.6)
    fake.scoreless |= {("a", 0), ("b", 0)}
    verdict = compare(asked, tmp_path / "c")
    ended = "a seed 0, b seed 0 ended without a score (top1)"
    assert verdict["plan"]["ended"] == f"{ended}: no further seed is looked at"
    (pair,) = verdict["pairs"]
    assert pair["reason"] == ended
    text = describe(verdict)
    assert f"The plan has ended: {ended}: no further seed is looked at." in text
    for word in ("missing", " yet"):
        assert word not in text, text
    assert compare(asked, tmp_path / "c") == verdict
    assert len(fake.calls) == 2


def test_a_plan_has_not_ended_while_its_last_seed_is_incomplete(fake: Any, tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    asked = sequential(fake, 4, 0.5, 0.6)
    fake.scoreless.add(("a", 0))
    fake.acts["b", 0] = {"inside": interrupted}
    with pytest.raises(KeyboardInterrupt):
        compare(asked, tmp_path / "c")
    assert "ended" not in status(asked, tmp_path / "c")["plan"]
    fake.acts.clear()
    assert "a seed 0 ended" in compare(asked, tmp_path / "c")["plan"]["ended"]
    assert fake.calls == [("a", 0), ("b", 0), ("b", 0)]


def test_a_decided_plan_has_not_ended_without_a_score(fake: Any, tmp_path: Path) -> None:
    fake.scoreless.add(("b", 3))
    verdict = compare(sequential(fake, 4, 0.5, 0.9), tmp_path / "c")
    assert verdict["pairs"][0]["verdict"] == "better"
    assert "ended" not in verdict["plan"]


def test_looks_before_the_seed_without_a_score_count(fake: Any, tmp_path: Path) -> None:
    asked = sequential(fake, 12, 0.5, 0.503, margin=0.004)
    fake.scoreless.add(("b", 4))
    verdict = compare(asked, tmp_path / "c")
    assert len(fake.calls) == 10
    (pair,) = verdict["pairs"]
    assert (pair["verdict"], pair["interval"] is None) == ("undecided", False)
    assert pair["warnings"][-1] == (
        "b seed 4 ended without a score (top1): no further seed is looked at"
    )
    assert verdict["plan"]["shown"] == [0, 1, 2, 3]


def broken() -> None:
    raise RuntimeError("broken")


def test_arms_and_pairs_are_of_the_same_seeds(fake: Any, tmp_path: Path) -> None:
    asked = sequential(fake, 12, 0.5, 0.503, margin=0.004)

    fake.acts["b", 4] = {"early": broken}
    with pytest.raises(WorkFailed, match="1 cells"):
        compare(asked, tmp_path / "c")
    verdict = status(asked, tmp_path / "c")
    (pair,) = verdict["pairs"]
    a, b = verdict["arms"]["a"], verdict["arms"]["b"]
    assert (a["n"], b["n"]) == (4, 4)
    assert a["scores"]["4"] is not None
    assert pair["interval"]["difference"] == pytest.approx(b["mean"] - a["mean"])
    assert all("(n = 4)" in row[1] for row in arms_table(verdict).rows)


def test_while_nothing_is_judged_every_score_counts(fake: Any, tmp_path: Path) -> None:
    asked = sequential(fake, 12, 0.5, 0.6)

    fake.acts["b", 1] = {"early": broken}
    with pytest.raises(WorkFailed, match="1 cells"):
        compare(asked, tmp_path / "c")
    verdict = status(asked, tmp_path / "c")
    assert verdict["pairs"][0]["interval"] is None
    assert (verdict["arms"]["a"]["n"], verdict["arms"]["b"]["n"]) == (3, 2)


def test_a_metric_that_an_arm_does_not_have_is_refused_before_training(
    fake: Any, tmp_path: Path
) -> None:
    asked = fake.comparison()
    arms = {"a": asked.arms["a"], "b": replace(asked.arms["b"], kind="unscored")}
    mixed = replace(asked, arms=arms, varies=asked.varies | {"kind"})
    for act in (compare, status):
        with pytest.raises(UserError, match="--metric top1: b has loss"):
            act(mixed, tmp_path / "c")
    beside = replace(mixed, metric="loss", beside=("top1",))
    with pytest.raises(UserError, match="'top1' cannot stand beside the metric: b has loss"):
        compare(beside, tmp_path / "c")
    assert fake.calls == []
    assert not (tmp_path / "c").exists()
    assert compare(replace(mixed, metric="loss"), tmp_path / "c")["pairs"][0]["interval"]


def test_fixed_predictions_of_which_a_group_lacks_the_score(fake: Any, tmp_path: Path) -> None:
    def items(arm: Predictions, *_: Any) -> Items:
        import numpy as np

        empty = arm.source == "b.json"
        values = np.array([[1.0, 2.0], [1.0, 4.0], [0.0, 0.0] if empty else [1.0, 1.0]])
        keys, groups = ("1", "2", "3"), ("x", "x", "y")
        return Items(keys, groups, values, lambda s: s[0] / s[1] if s[1] else float("nan"))

    fake.predict_items = items
    arms = {name: Predictions(f"{name}.json") for name in "ab"}
    asked = fake.comparison(arms=arms, varies=frozenset(), seeds=(), data="x:DIR", split="val")
    verdict = compare(asked, tmp_path / "c")
    (pair,) = verdict["pairs"]
    assert pair["difference"] == pytest.approx(2 / 6 - 3 / 7)
    assert (pair["interval"], pair["new_items"]) == (None, "cannot be judged")
    assert "the metric of a group is not finite" in pair["sentence"]
    assert verdict["arms"]["b"]["by_group"]["y"] is None
    assert "the metric of a group is not finite" in describe(verdict)


def test_a_ctrl_c_brings_the_verdict_up_to_date(fake: Any, tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt("Ctrl-C")

    fake.acts["b", 1] = {"inside": interrupted}
    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        compare(fake.comparison(), tmp_path / "c")
    verdict = json.loads((tmp_path / "c" / "verdict.json").read_text())
    assert verdict["arms"]["b"]["states"] == {"0": "done", "1": "begun", "2": "missing"}
    assert verdict["arms"]["a"]["n"] == 2


def test_a_ctrl_c_while_fixed_predictions_are_scored(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    arms = {**asked.arms, "outside": Predictions("x.csv")}
    compare(asked, tmp_path / "c")
    (tmp_path / "c" / "verdict.json").unlink()

    def interrupted(*_: Any) -> Items:
        raise KeyboardInterrupt

    fake.predict_items = interrupted
    with pytest.raises(KeyboardInterrupt):
        compare(replace(asked, arms=arms), tmp_path / "c")
    verdict = json.loads((tmp_path / "c" / "verdict.json").read_text())
    assert verdict["pairs"][0]["verdict"] == "better"


def test_different_test_sets_are_named_and_warned_of(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(0.5, 0.6, 0.7)
    arms = {
        name: replace(arm, val_data="other" if name == "c" else None)
        for name, arm in asked.arms.items()
    }
    asked = replace(asked, arms=arms, varies=asked.varies | {"val_data"})
    fake.tested_on = lambda recipe: f"{recipe.val_data or 'made up'} test"
    verdict = compare(asked, tmp_path / "c")
    assert verdict["data"] == "made up test (a, b) and other test (c)"
    alike, apart = verdict["pairs"]
    warning = "scored on different data: c on other test and a on made up test"
    assert warning in apart["warnings"]
    assert not any("different data" in text for text in alike["warnings"])
    text = describe(verdict)
    assert f"note: {warning}" in text
    assert "top1 on made up test (a, b) and other test (c), margin 0.02" in text


def test_one_name_of_two_contents_is_two_test_sets(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    arms = {"a": asked.arms["a"], "b": replace(asked.arms["b"], data="other place")}
    asked = replace(asked, arms=arms, varies=asked.varies | {"data"})
    fake.fingerprint = lambda recipe, seed: {
        "train": "alike",
        "val": f"{recipe.data} for validation",
        "test": f"{recipe.data.partition(' ')[0]}12345678",
    }
    verdict = compare(asked, tmp_path / "c")
    assert verdict["data"] == "made up test made1234 (a) and made up test other123 (b)"
    assert "scored on different data" in verdict["pairs"][0]["warnings"][-1]
    # What else differs in the data is no matter of the score.
    fake.fingerprint = lambda recipe, seed: {"train": recipe.data, "val": recipe.data, "test": "x"}
    assert compare(asked, tmp_path / "d")["data"] == "made up test"


def test_a_record_without_its_runs_keeps_the_warning(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.tested_on = lambda recipe: f"{recipe.model} test"
    compare(fake.comparison(), tmp_path / "c")
    verdict = json.loads((tmp_path / "c" / "verdict.json").read_text())
    record = tmp_path / "record"
    record.mkdir()
    write_json(record / "verdict.json", verdict | {"study": "classify"})
    plan = json.loads((tmp_path / "c" / "comparison.json").read_text())
    write_json(record / "comparison.json", plan | {"study": "classify"})
    found = judged(record)
    assert len(found.remarks) == 1, found.remarks
    assert found.verdict["pairs"][0]["warnings"] == verdict["pairs"][0]["warnings"]


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (0.95, "95%"),
        (0.975, "97.5%"),
        (0.995, "99.5%"),
        (1 - 0.05 / 3, "98.3%"),
        (0.9996, "99.96%"),
    ],
)
def test_levels_have_the_digits_that_tell_them_apart(
    fake: Any, tmp_path: Path, level: float, shown: str
) -> None:
    verdict = compare(fake.comparison(), tmp_path / "c")
    verdict["pairs"][0]["interval"]["level"] = level
    assert f"] at {shown}" in describe(verdict)
