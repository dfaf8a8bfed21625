"""What `verdict.json` says: the statistics' own numbers, and nothing left out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.compare.describe import describe
from triptych.compare.run import compare, status
from triptych.errors import Stopped
from triptych.stats import Comparand, judge, plan_seeds, two_way_difference
from triptych.stopping import StopRequest


def expected(fake: Any, asked: Any, **options: Any) -> list[dict[str, Any]]:
    pairs = [
        Comparand(
            arm,
            base,
            fake.scores(asked.arms[arm], asked.seeds),
            fake.scores(asked.arms[base], asked.seeds),
        )
        for arm, base in asked.judged()
    ]
    return [j.as_dict() for j in judge(pairs, asked.margin, **options)]


def of(pair: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    return {key: pair[key] for key in wanted}


def test_several_arms_are_judged_together_by_holm(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(0.5, 0.53, 0.56, 0.5)
    verdict = compare(asked, tmp_path / "c")
    wanted = expected(fake, asked)
    assert [of(p, w) for p, w in zip(verdict["pairs"], wanted, strict=True)] == wanted
    assert [p["arm"] for p in verdict["pairs"]] == ["b", "c", "d"]
    # Holm by hand: the smallest of three p values counts three times, the next twice.
    raw = np.array([p["p_difference"] for p in verdict["pairs"]])
    by_hand = np.maximum.accumulate(np.sort(raw) * [3, 2, 1])
    adjusted = np.empty(3)
    adjusted[np.argsort(raw)] = np.minimum(by_hand, 1)
    assert [p["p_difference_adjusted"] for p in verdict["pairs"]] == pytest.approx(adjusted)


def test_declared_pairs_replace_the_baseline(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(0.5, 0.53, 0.56, pairs=(("c", "b"), ("b", "a")))
    verdict = compare(asked, tmp_path / "c")
    wanted = expected(fake, asked)
    assert [of(p, w) for p, w in zip(verdict["pairs"], wanted, strict=True)] == wanted


def test_pairing_is_used_only_where_declared(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(0.5, 0.52, paired=True, seeds=tuple(range(5)))
    (pair,) = compare(asked, tmp_path / "c")["pairs"]
    (paired,), (welch,) = expected(fake, asked, paired=True), expected(fake, asked)
    assert of(pair, paired) == paired
    assert paired["interval"] != welch["interval"]
    assert "paired" in pair["method"]


def test_a_loss_is_better_when_lower(fake: Any, tmp_path: Path) -> None:
    by_loss = compare(fake.comparison(0.5, 0.6, metric="loss"), tmp_path / "c")
    assert by_loss["higher_is_better"] is False
    assert by_loss["pairs"][0]["verdict"] == "better"
    assert by_loss["pairs"][0]["interval"]["difference"] < 0
    assert by_loss["pairs"][0]["new_items"] is None  # the study keeps no items of it


def test_arms_show_mean_deviation_n_and_cost(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    verdict = compare(asked, tmp_path / "c")
    for name, arm in verdict["arms"].items():
        scores = fake.scores(asked.arms[name], range(3))
        assert arm["scores"] == dict(zip("012", scores, strict=True))
        assert arm["mean"] == pytest.approx(sum(scores) / 3)
        assert arm["std"] == pytest.approx(np.std(scores, ddof=1))
        assert (arm["n"], arm["diverged"]) == (3, 0)
        assert arm["cost"] == {
            "parameters": 100,
            "MACs": 200,
            "samples": 300,
            "updates": 3,
            "training_GFLOP": 0.1,
        }
    assert verdict["times"] == {name: {"0": 0.5, "1": 0.5, "2": 0.5} for name in "ab"}
    assert verdict["data"] == "made up test"
    assert verdict["pairs"][0]["differs"] == {"model": ["a", "b"], "quality": [0.5, 0.6]}
    assert json.loads((tmp_path / "c" / "verdict.json").read_text()) == verdict


def test_two_seeds_give_no_verdict_and_one_no_plan(fake: Any, tmp_path: Path) -> None:
    (pair,) = compare(fake.comparison(0.1, 0.9, seeds=(0, 1)), tmp_path / "two")["pairs"]
    assert (pair["verdict"], pair["reason"]) == ("undecided", "fewer than 3 seeds")
    assert pair["new_items"] is None
    (pair,) = compare(fake.comparison(0.1, 0.9, seeds=(0,)), tmp_path / "one")["pairs"]
    assert "run 3" in pair["seeds_needed"]["reason"]
    assert pair["seeds_needed"]["seeds"] is None


def test_seeds_that_change_nothing_give_no_verdict(fake: Any, tmp_path: Path) -> None:
    arms = {name: fake.recipe(name, quality=q, spread=0.0) for name, q in (("a", 0.1), ("b", 0.9))}
    (pair,) = compare(fake.comparison(arms=arms), tmp_path / "c")["pairs"]
    assert pair["verdict"] == "undecided"
    assert "all runs of b scored 0." in pair["reason"]
    assert ", all of a scored 0." in pair["reason"]


def test_a_fixed_plan_is_not_judged_before_it_is_complete(fake: Any, tmp_path: Path) -> None:
    # 3 of 5 seeds would be "better"; a second look at 5 would be a second chance to err.
    asked = fake.comparison(0.1, 0.9, seeds=tuple(range(5)))
    stop = StopRequest()
    fake.acts["b", 3] = {"inside": lambda: setattr(stop, "_signal", 15)}
    with pytest.raises(Stopped):
        compare(asked, tmp_path / "c", stop=stop)
    half = status(asked, tmp_path / "c")
    (pair,) = half["pairs"]
    assert (pair["verdict"], pair["interval"], pair["new_items"]) == ("undecided", None, None)
    assert pair["reason"] == "not complete: 3 and 4 of 5 seeds"
    assert (half["arms"]["a"]["n"], half["arms"]["b"]["n"]) == (4, 3)
    assert "not complete: 3 and 4 of 5 seeds" in describe(half)
    fake.acts.clear()
    assert compare(asked, tmp_path / "c")["pairs"][0]["verdict"] == "better"


def test_a_pair_that_is_not_complete_counts_in_holm(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(0.5, 0.56, 0.6)

    def broken() -> None:
        raise RuntimeError("broken")

    fake.acts["c", 2] = {"inside": broken}
    with pytest.raises(Exception, match="1 cells"):
        compare(asked, tmp_path / "c")
    first, second = status(asked, tmp_path / "c")["pairs"]
    assert first["p_difference_adjusted"] == pytest.approx(2 * first["p_difference"])
    assert second["reason"] == "not complete: 2 and 3 of 3 seeds"


def test_the_planner_speaks_where_undecided_only(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(0.5, 0.505, 0.9, margin=0.005)
    undecided, clear = compare(asked, tmp_path / "c")["pairs"]
    assert (undecided["verdict"], clear["verdict"]) == ("undecided", "better")
    assert clear["seeds_needed"] is None
    stds = [np.std(fake.scores(asked.arms[x], range(3)), ddof=1) for x in "ba"]
    plan = plan_seeds(float(stds[0]), float(stds[1]), 3, 0.005, arms=3)
    assert undecided["seeds_needed"] == {
        "seeds": plan.seeds,
        "low": plan.low,
        "high": plan.high,
        "reason": plan.reason,
    }


def test_new_items_stand_beside_the_verdict(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    (pair,) = compare(asked, tmp_path / "c")["pairs"]
    values = [
        np.stack(
            [fake.run_items(tmp_path / "c" / x / f"seed-{s}", "top1").values for s in range(3)]
        )
        for x in "ba"
    ]
    wanted = two_way_difference(values[0], values[1], 0.95).as_dict()
    assert json.loads(json.dumps(pair["new_items"])) == json.loads(json.dumps(wanted))
    assert f"new items: {wanted['new_items']}" in describe(status(asked, tmp_path / "c"))


def test_runs_on_different_items_cannot_be_judged_on_new_ones(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    compare(asked, tmp_path / "c")
    file = tmp_path / "c" / "b" / "seed-1" / "items.json"
    file.write_text(json.dumps({"top1": [0.5] * 3}))
    (pair,) = status(asked, tmp_path / "c")["pairs"]
    assert pair["verdict"] == "better"
    assert pair["new_items"]["new_items"] == "cannot be judged"
    assert "different items" in pair["new_items"]["sentence"]


def test_the_audit_of_all_cells_ends_the_verdict(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    arms = {"a": asked.arms["a"], "b": replace(asked.arms["b"], lr=0.2)}
    asked = replace(asked, arms=arms, varies=asked.varies | {"lr"})
    verdict = compare(asked, tmp_path / "c")
    lines = {line["about"]: line for line in verdict["audit"]}
    assert lines["images seen"]["finding"] == "fair"
    assert lines["learning rate"] == {
        "about": "learning rate",
        "finding": "differs",
        "text": "a: 0.1; b: 0.2",
    }
    assert "DIFFERS learning rate" in describe(verdict)


def test_the_text_names_everything(fake: Any, tmp_path: Path) -> None:
    text = describe(compare(fake.comparison(), tmp_path / "c"))
    assert "Which is better?" in text
    assert "margin 0.02, plan: 3 seeds" in text
    assert "b against a: BETTER on this test set" in text
    assert "(n = 3), 100 parameters, 300 samples, 3 updates, 0.1 GFLOP" in text
    more = compare(fake.comparison(seeds=tuple(range(4))), tmp_path / "c")
    assert "plan: 3 seeds" in describe(more)
    assert "Exploratory, with seeds [0, 1, 2, 3]" in describe(more)


def test_new_items_never_say_more_than_the_verdict(fake: Any, tmp_path: Path) -> None:
    """Five arms at a difference that one alone would show, and Holm over five does not."""
    contradicted = 0
    for index, lift in enumerate(np.linspace(0.015, 0.045, 11)):
        asked = fake.comparison(0.5, *[0.5 + lift] * 5)
        for pair in compare(asked, tmp_path / f"c{index}")["pairs"]:
            runs = [
                np.stack(
                    [
                        fake.run_items(tmp_path / f"c{index}" / x / f"seed-{s}", "top1").values
                        for s in range(3)
                    ]
                )
                for x in (pair["arm"], "a")
            ]
            alone = two_way_difference(runs[0], runs[1], 0.95).new_items
            if pair["verdict"] == "undecided":
                contradicted += alone == "yes"
                assert pair["new_items"]["new_items"] != "yes"
    assert contradicted > 0
