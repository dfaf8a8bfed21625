"""Fixed predictions that join recipes: compared item by item, and no verdict knows of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_rel

from triptych.compare import Comparison, Predictions, Sequential
from triptych.compare.audit_folder import audit_folder
from triptych.compare.describe import describe
from triptych.compare.item_sets import aligned, mean_of
from triptych.compare.run import compare, status
from triptych.errors import Stopped, UserError, WorkFailed
from triptych.run import write_json
from triptych.stopping import StopRequest
from triptych.study import Items


def with_arms(comparison: Comparison, *sources: str) -> Comparison:
    """The comparison with fixed predictions, named by their sources' first letter."""
    return replace(
        comparison, arms=comparison.arms | {source[0]: Predictions(source) for source in sources}
    )


def as_bytes(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def values_of(source: str) -> Any:
    """What the fake study says of every item of these predictions."""
    return np.random.default_rng(len(source)).uniform(0, 1, 40)


def mean_over_seeds(fake: Any, folder: Path, arm: str, metric: str = "top1", seeds: int = 3) -> Any:
    runs = [fake.run_items(folder / arm / f"seed-{seed}", metric) for seed in range(seeds)]
    return np.mean([run.values for run in runs], axis=0)


@pytest.mark.parametrize("qualities", [(0.5, 0.6), (0.5, 0.51, 0.9)])
def test_the_verdict_on_recipes_is_the_same_with_and_without_them(
    fake: Any, tmp_path: Path, qualities: tuple[float, ...]
) -> None:
    plain = fake.comparison(*qualities, beside=("dim",))
    without = compare(plain, tmp_path / "plain")
    verdict = compare(with_arms(plain, "x.csv", "yy.csv"), tmp_path / "joined")
    assert set(verdict["fixed"].pop("arms")) == {"x", "y"}
    del verdict["fixed"]
    assert as_bytes(verdict) == as_bytes(without)
    plans = [(tmp_path / name / "comparison.json").read_bytes() for name in ("plain", "joined")]
    assert plans[0] == plans[1]


def test_every_fixed_arm_is_compared_with_every_recipe_by_items(fake: Any, tmp_path: Path) -> None:
    asked = with_arms(fake.comparison(), "x.csv", "yy.csv")
    verdict = compare(asked, tmp_path / "c")
    found = verdict["fixed"]
    assert [(pair["arm"], pair["baseline"]) for pair in found["pairs"]] == [
        *(("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")),
    ]
    for pair in found["pairs"]:
        ours = values_of("x.csv" if pair["arm"] == "x" else "yy.csv")
        theirs = mean_over_seeds(fake, tmp_path / "c", pair["baseline"])
        # Four intervals that hold together, each at 1 - 0.05 / 4.
        wanted = ttest_rel(ours, theirs).confidence_interval(1 - 0.05 / 4)
        seen = pair["interval"]
        assert (seen["low"], seen["high"]) == pytest.approx(tuple(wanted))
        assert seen["level"] == pytest.approx(0.9875)
        mean = np.mean(fake.scores(asked.arms[pair["baseline"]], range(3)))
        assert pair["difference"] == pytest.approx(ours.mean() - mean)
        assert pair["pooled_difference"] == pytest.approx(pair["difference"])
        assert not {"verdict", "p_difference"} & set(pair)
    # The recipe's side is the mean that the table of arms shows.
    assert found["recipes"]["b"]["score"] == pytest.approx(verdict["arms"]["b"]["mean"])
    assert found["recipes"]["b"]["items"] == 40
    assert found["arms"]["x"]["score"] == pytest.approx(values_of("x.csv").mean())
    assert found["arms"]["x"]["source"] == "x.csv"
    assert found["arms"]["x"]["evaluation"] == {"model": "x.csv"}
    assert (found["seeds"], found["reason"], found["data"]) == ([0, 1, 2], None, "made up test")
    assert "for these weights on this data" in found["judged"]
    assert "trained elsewhere" in found["note"]
    assert json.loads((tmp_path / "c" / "verdict.json").read_text()) == verdict


def test_they_are_compared_drive_by_drive(fake: Any, tmp_path: Path) -> None:
    fake.groups = "xxxxyyyz" * 5
    verdict = compare(with_arms(fake.comparison(), "x.csv"), tmp_path / "c")
    drives = np.array(list(fake.groups))
    for pair in verdict["fixed"]["pairs"]:
        theirs = mean_over_seeds(fake, tmp_path / "c", pair["baseline"])
        each = {d: (values_of("x.csv") - theirs)[drives == d].mean() for d in "xyz"}
        assert pair["by_group"] == pytest.approx(each)
        assert pair["difference"] == pytest.approx(np.mean(list(each.values())))
        assert pair["interval"] is None
        assert pair["sentence"].endswith("of 3 groups")
        assert "new groups cannot be judged from 3" in pair["sentence"]
        assert verdict["fixed"]["recipes"][pair["baseline"]]["by_group"]["z"] == pytest.approx(
            theirs[drives == "z"].mean()
        )


def _share(sums: Any) -> float:
    return float(sums[0] / sums[1])


def test_of_counts_it_is_the_mean_of_the_runs_scores_and_not_that_of_their_sum() -> None:
    # Hits and pixels of two frames: the first run scores 4/8, the second, of more pixels, 9/10.
    first = Items(("f", "g"), ("x", "y"), np.array([[1.0, 4.0], [3.0, 4.0]]), _share)
    second = Items(("f", "g"), ("x", "y"), np.array([[9.0, 9.0], [0.0, 1.0]]), _share)
    both = mean_of([first, second])
    assert both.score() == pytest.approx((4 / 8 + 9 / 10) / 2)  # and not 13 / 18
    assert both.score(np.array([1.0, 0.0])) == pytest.approx((1 / 4 + 9 / 9) / 2)
    assert both.score(np.array([1.0, 2.0])) == pytest.approx((7 / 12 + 9 / 11) / 2)
    assert (both.keys, both.groups, both.values.shape) == (first.keys, first.groups, (2, 2, 2))


def test_items_are_brought_into_one_order() -> None:
    items = Items(("f", "g", "h"), ("x", "y", "x"), np.array([1.0, 2.0, 3.0]))
    turned = aligned(items, ("h", "f", "g"), "a seed 0", "z")
    assert turned.groups == ("x", "x", "y")
    assert turned.values.tolist() == [3.0, 1.0, 2.0]
    assert aligned(items, items.keys, "a seed 0", "z") is items
    for keys, message in (
        (("f", "g"), "z was not scored on the items of a seed 0: 2 and 3 items, such as h, which"),
        (("f", "g", "i"), "3 and 3 items, such as h"),
        (("f", "g", "h", "h"), "4 and 3 items; name the data"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            aligned(items, keys, "a seed 0", "z")
        assert "\n" not in str(caught.value)


def test_one_joins_a_finished_folder_and_stays(fake: Any, tmp_path: Path) -> None:
    folder, plain = tmp_path / "c", fake.comparison()
    first = compare(plain, folder)
    before = files(folder)
    fake.calls.clear()
    joined = compare(with_arms(plain, "x.csv"), folder)
    assert fake.calls == [("x.csv", -1)]
    after = files(folder)
    assert {name for name in after if before.get(name) != after[name]} == {
        *("fixed.json", "verdict.json", "x/scores.json", "x/items.json"),
    }
    assert {key: joined[key] for key in first} == first
    # It need not be named again, and nothing is scored again for it.
    fake.calls.clear()
    assert compare(plain, folder) == joined == status(plain, folder)
    assert fake.calls == []
    second = compare(with_arms(plain, "yy.csv"), folder)
    assert set(second["fixed"]["arms"]) == {"x", "y"}
    # One whose evaluation is removed has left.
    shutil.rmtree(folder / "x")
    shutil.rmtree(folder / "y")
    assert compare(plain, folder) == first


def test_another_source_under_the_same_name_is_another_arm(fake: Any, tmp_path: Path) -> None:
    folder, plain = tmp_path / "c", fake.comparison()
    compare(with_arms(plain, "x.csv"), folder)
    before = files(folder)
    looked = status(with_arms(plain, "x-new.csv"), folder)["fixed"]
    assert looked["arms"]["x"]["score"] is None
    assert (looked["pairs"], looked["reason"]) == ([], None)
    assert "x                        not scored yet" in describe(
        status(with_arms(plain, "x-new.csv"), folder)
    )
    assert files(folder) == before
    found = compare(with_arms(plain, "x-new.csv"), folder)["fixed"]["arms"]["x"]
    assert found["score"] == pytest.approx(values_of("x-new.csv").mean())


def test_status_scores_nothing(fake: Any, tmp_path: Path) -> None:
    asked = with_arms(fake.comparison(), "x.csv")
    looked = status(asked, tmp_path / "c")
    assert looked["fixed"]["arms"]["x"]["score"] is None
    assert fake.calls == []
    assert not (tmp_path / "c").exists()
    done = compare(asked, tmp_path / "c")
    assert status(asked, tmp_path / "c") == done


def test_until_the_recipes_are_complete_there_are_their_own_scores_alone(
    fake: Any, tmp_path: Path
) -> None:
    asked = with_arms(fake.comparison(beside=("dim",)), "x.csv")
    stop = StopRequest()
    fake.acts["b", 1] = {"inside": lambda: setattr(stop, "_signal", 15)}
    with pytest.raises(Stopped):
        compare(asked, tmp_path / "c", stop=stop)
    written = json.loads((tmp_path / "c" / "verdict.json").read_text())
    assert written == status(asked, tmp_path / "c")
    found = written["fixed"]
    assert found["arms"]["x"]["score"] == pytest.approx(values_of("x.csv").mean())
    assert found["arms"]["x"]["beside"]["dim"]["score"] == pytest.approx(
        found["arms"]["x"]["score"] / 2
    )
    assert (found["pairs"], found["recipes"], found["seeds"]) == ([], {}, [])
    assert found["reason"] == "the recipes are not complete: a 2, b 1 of 3 seeds"
    assert f"not compared with the recipes: {found['reason']}" in describe(written)
    fake.acts.clear()
    assert len(compare(asked, tmp_path / "c")["fixed"]["pairs"]) == 2


def test_a_failed_cell_leaves_them_without_a_comparison(fake: Any, tmp_path: Path) -> None:
    def broken() -> None:
        raise MemoryError

    fake.acts["b", 2] = {"inside": broken}
    with pytest.raises(WorkFailed):
        compare(with_arms(fake.comparison(), "x.csv"), tmp_path / "c")
    found = json.loads((tmp_path / "c" / "verdict.json").read_text())["fixed"]
    assert found["reason"] == "the recipes are not complete: a 3, b 2 of 3 seeds"


def test_a_sequential_plan_has_the_seeds_that_decided_it(fake: Any, tmp_path: Path) -> None:
    def plan(*qualities: float) -> Comparison:
        asked: Comparison = fake.comparison(
            *qualities, seeds=tuple(range(6)), until_decided=Sequential(6)
        )
        return with_arms(asked, "x.csv")

    verdict = compare(plan(0.1, 0.9), tmp_path / "c")
    seeds = verdict["fixed"]["seeds"]
    assert 3 <= len(seeds) < 6
    theirs = mean_over_seeds(fake, tmp_path / "c", "b", seeds=len(seeds))
    assert verdict["fixed"]["pairs"][1]["difference"] == pytest.approx(
        (values_of("x.csv") - theirs).mean()
    )
    stop = StopRequest()
    fake.acts["b", 3] = {"inside": lambda: setattr(stop, "_signal", 15)}
    with pytest.raises(Stopped):
        compare(plan(0.5, 0.515), tmp_path / "d", stop=stop)
    found = status(plan(0.5, 0.515), tmp_path / "d")["fixed"]
    assert found["reason"] == "the recipes are not decided: 3 of at most 6 seeds"
    assert found["pairs"] == []


def test_added_seeds_change_nothing_for_them(fake: Any, tmp_path: Path) -> None:
    first = compare(with_arms(fake.comparison(), "x.csv"), tmp_path / "c")
    more = compare(fake.comparison(seeds=tuple(range(5))), tmp_path / "c")
    assert more["exploratory"]["seeds"] == [0, 1, 2, 3, 4]
    assert more["fixed"] == first["fixed"]


def test_a_diverged_run_counts_as_it_was_measured(fake: Any, tmp_path: Path) -> None:
    asked = with_arms(fake.comparison(), "x.csv")
    whole = compare(asked, tmp_path / "c")
    fake.diverged = {("b", 1)}
    assert compare(asked, tmp_path / "d")["fixed"] == whole["fixed"]


def test_they_are_scored_before_anything_is_trained(fake: Any, tmp_path: Path) -> None:
    asked = with_arms(fake.comparison(), "x.csv")
    compare(asked, tmp_path / "c")
    assert fake.calls[0] == ("x.csv", -1)
    fake.calls.clear()

    def refuse(*_: Any) -> Items:
        raise UserError("cannot read x.csv")

    fake.predict_items = refuse
    with pytest.raises(UserError, match=r"cannot read x\.csv"):
        compare(asked, tmp_path / "d")
    assert fake.calls == []
    assert not (tmp_path / "d" / "fixed.json").exists()
    # The recipes alone are as free as before.
    compare(fake.comparison(), tmp_path / "d")


def fewer(fake: Any) -> Callable[..., Items]:
    """Predictions for all items but the last."""

    def predict(arm: Predictions, data: str, split: str, metric: str, folder: Path) -> Items:
        items: Items = type(fake).predict_items(fake, arm, data, split, metric, folder)
        values = {"top1": items.values[:-1].tolist(), "dim": []}
        write_json(folder / "items.json", values)
        return replace(items, keys=items.keys[:-1], values=items.values[:-1])

    return predict


def test_other_items_are_refused_and_the_verdict_stays(fake: Any, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compare(fake.comparison(), folder)
    before = (folder / "verdict.json").read_bytes()
    fake.predict_items = fewer(fake)
    message = "x was not scored on the items of a seed 0: 39 and 40 items, such as 39, which only"
    with pytest.raises(UserError, match=message) as caught:
        compare(with_arms(fake.comparison(), "x.csv"), folder)
    assert "\n" not in str(caught.value)
    assert (folder / "verdict.json").read_bytes() == before
    assert not (folder / "fixed.json").exists()
    # In a new folder there is no run to hold them against before the first has ended.
    with pytest.raises(UserError, match="x was not scored on the items of a: 39 and 40 items"):
        compare(with_arms(fake.comparison(), "x.csv"), tmp_path / "d")
    assert json.loads((tmp_path / "d" / "verdict.json").read_text()) == json.loads(before)


def test_the_same_names_of_other_pictures_are_refused(fake: Any, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    compare(fake.comparison(), folder)

    def predict(arm: Predictions, data: str, split: str, metric: str, place: Path) -> Items:
        items: Items = type(fake).predict_items(fake, arm, data, split, metric, place)
        write_json(place / "scores.json", {"model": "m", "fingerprint": "elsewhere"})
        return items

    asked = with_arms(fake.comparison(), "x.csv")
    compare(asked, folder)
    fake.predict_items = predict
    with pytest.raises(UserError, match=r"x was scored on other data than a seed 0.*same names"):
        compare(asked, folder)
    # What it had joined with is gone: it is not compared by what was just refused.
    assert "fixed" not in compare(fake.comparison(), folder)


def test_recipes_on_different_data_have_no_place_for_them(fake: Any, tmp_path: Path) -> None:
    arms = {"a": fake.recipe("a"), "b": fake.recipe("b", data="other")}
    asked = fake.comparison(arms=arms, varies=frozenset({"model", "data"}))
    with pytest.raises(UserError, match="a is evaluated on made up test and b on other test"):
        compare(with_arms(asked, "x.csv"), tmp_path / "c")
    assert fake.calls == []
    assert "fixed" not in compare(asked, tmp_path / "c")


def test_a_metric_of_which_runs_keep_no_items(fake: Any, tmp_path: Path) -> None:
    asked = with_arms(fake.comparison(metric="loss"), "x.csv")
    fake.predict_items = lambda arm, data, split, metric, folder: type(fake).predict_items(
        fake, arm, data, split, "top1", folder
    )
    compare(asked, tmp_path / "c")
    # Neither do these predictions; where they do, the runs' lack of them is the reason.
    file = tmp_path / "c" / "x" / "items.json"
    write_json(file, json.loads(file.read_text()) | {"loss": [0.5] * 40})
    found = status(asked, tmp_path / "c")["fixed"]
    assert found["reason"] == "the runs of a keep no items of loss"
    assert (found["pairs"], found["recipes"]) == ([], {})
    assert found["arms"]["x"]["score"] == 0.5
    assert "the runs of a keep no items of loss" in describe(status(asked, tmp_path / "c"))


def test_scores_beside_the_metric_are_described(fake: Any, tmp_path: Path) -> None:
    verdict = compare(with_arms(fake.comparison(beside=("dim", "loss")), "x.csv"), tmp_path / "c")
    found = verdict["fixed"]
    dim, loss = found["pairs"][1]["beside"]
    theirs = mean_over_seeds(fake, tmp_path / "c", "b", "dim")
    wanted = ttest_rel(values_of("x.csv") / 2, theirs).confidence_interval(0.95)
    assert (dim["interval"]["low"], dim["interval"]["high"]) == pytest.approx(tuple(wanted))
    assert dim["of_baseline"] == pytest.approx(theirs.mean())
    assert (loss["score"], loss["difference"], loss["interval"]) == ("loss", None, None)
    assert loss["reason"] == "missing: there are no items of it on record"
    assert found["arms"]["x"]["beside"] == {
        "dim": {
            "score": pytest.approx(values_of("x.csv").mean() / 2),
            "items": 40,
            "by_group": None,
        }
    }
    text = describe(verdict)
    assert f"dim            {dim['of_arm']:.4f} against {dim['of_baseline']:.4f}: " in text
    # A bin of other items, such as an older run's: the reason stands there, and all else stays.
    file = tmp_path / "c" / "x" / "items.json"
    write_json(file, json.loads(file.read_text()) | {"dim": [0.5] * 3})
    looked = status(fake.comparison(beside=("dim", "loss")), tmp_path / "c")["fixed"]["pairs"][1]
    assert "different items (3 and 40)" in looked["beside"][0]["reason"]
    assert looked["interval"] == found["pairs"][1]["interval"]


def test_in_words(fake: Any, tmp_path: Path) -> None:
    verdict = compare(with_arms(fake.comparison(), "x.csv"), tmp_path / "c")
    plain, joined = describe(compare(fake.comparison(), tmp_path / "d")), describe(verdict)
    # What is said of recipes is said first and in the same words.
    head = plain.partition("\n\naudit\n")[0]
    assert joined.startswith(head)
    part = joined[len(head) :]
    for text in (
        "Fixed predictions on made up test: for these weights on this data; nothing is said about",
        f"  x                        {values_of('x.csv').mean():.4f}",
        f"x against b: {verdict['fixed']['pairs'][1]['difference']:+.4f}; ",
        "no verdict depends on them",
        "unknown fixed predictions: x: what they were trained on, and how, is not on record",
    ):
        assert text in part
    for word in ("BETTER", "WORSE", "EQUIVALENT", "UNDECIDED"):
        assert word not in part


def test_the_audit_of_the_folder_names_them(fake: Any, tmp_path: Path) -> None:
    compare(fake.comparison(), tmp_path / "c")
    alone = audit_folder(tmp_path / "c")
    compare(with_arms(fake.comparison(), "x.csv"), tmp_path / "c")
    *lines, last = audit_folder(tmp_path / "c")
    assert lines == alone
    assert (last.about, last.finding) == ("fixed predictions", "unknown")
    shutil.rmtree(tmp_path / "c" / "x")
    assert audit_folder(tmp_path / "c") == alone


def test_a_metric_that_no_item_has_is_said_and_breaks_nothing(fake: Any, tmp_path: Path) -> None:
    def predict(arm: Predictions, data: str, split: str, metric: str, folder: Path) -> Items:
        items: Items = type(fake).predict_items(fake, arm, data, split, metric, folder)
        write_json(folder / "items.json", {"top1": [], "dim": []})
        return replace(items, keys=(), values=np.zeros(0))

    fake.predict_items = predict
    fake.run_items = lambda folder, metric: Items((), None, np.zeros(0))
    verdict = compare(with_arms(fake.comparison(), "x.csv"), tmp_path / "c")
    pair = verdict["fixed"]["pairs"][0]
    assert (pair["difference"], pair["interval"]) == (None, None)
    assert pair["new_items"] == "cannot be judged"
    assert f"x against a: {pair['sentence']}" in describe(verdict)
