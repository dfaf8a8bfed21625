"""Scores beside the metric: described with intervals, named beforehand, never judged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import ttest_ind, ttest_rel

from triptych.compare import Predictions, check
from triptych.compare.describe import describe
from triptych.compare.run import compare, status
from triptych.compare.sources import changed
from triptych.errors import Stopped, UserError
from triptych.stopping import StopRequest

JUDGING = ("better", "worse", "equivalent", "undecided", "ahead", "behind")


def asked(fake: Any, *qualities: float, **changes: Any) -> Any:
    return fake.comparison(*qualities, **({"beside": ("dim", "loss")} | changes))


def test_every_pair_shows_both_means_and_welchs_interval(fake: Any, tmp_path: Path) -> None:
    plan = asked(fake, 0.5, 0.53, 0.56)
    verdict = compare(plan, tmp_path / "c")
    for pair in verdict["pairs"]:
        dim, loss = pair["beside"]
        a, b = (np.array(fake.scores(plan.arms[x], range(3))) for x in (pair["arm"], "a"))
        for found, ours, theirs in ((dim, a / 2, b / 2), (loss, 1 - a, 1 - b)):
            assert found["of_arm"]["mean"] == pytest.approx(ours.mean())
            assert found["of_baseline"]["std"] == pytest.approx(theirs.std(ddof=1))
            assert (found["of_arm"]["n"], found["of_arm"]["missing"]) == (3, 0)
            assert found["difference"] == pytest.approx(ours.mean() - theirs.mean())
            wanted = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
            seen = found["interval"]
            # Three pairs and two scores, and still each at 95 %: nothing is adjusted.
            assert (seen["low"], seen["high"]) == pytest.approx(tuple(wanted))
            assert (seen["level"], seen["method"]) == (0.95, "Welch t over seeds")
            assert (found["by_group"], found["reason"]) == (None, None)
    scores = fake.scores(plan.arms["b"], range(3))
    assert verdict["arms"]["b"]["beside"]["dim"] == {
        str(seed): pytest.approx(score / 2) for seed, score in enumerate(scores)
    }
    assert json.loads((tmp_path / "c" / "verdict.json").read_text()) == verdict


def test_the_label_says_no_verdict_and_no_word_judges(fake: Any, tmp_path: Path) -> None:
    verdict = compare(asked(fake, 0.1, 0.9), tmp_path / "c")
    about = verdict["beside"]
    assert about["label"] == "beside the primary metric: described, no verdict"
    assert "exploratory" in about["note"]
    assert "no Holm" in about["note"]
    assert about["scores"] == ["dim", "loss"]
    for found in verdict["pairs"][0]["beside"]:
        assert not any(word in json.dumps(found) for word in JUDGING)
        assert not {"verdict", "p_difference"} & set(found)
    text = describe(verdict)
    block = text.partition(about["label"])[2].partition("\n\n")[0]
    dim = verdict["pairs"][0]["beside"][0]
    assert f"{dim['of_arm']['mean']:.4f} ± " in block
    assert f"{dim['difference']:+.4f} [{dim['interval']['low']:+.4f}, " in block
    assert "at 95%" in block
    assert not any(word in block.lower() for word in JUDGING)
    assert text.count(about["note"]) == 1


def test_the_verdict_is_the_same_without_them(fake: Any, tmp_path: Path) -> None:
    with_them = compare(asked(fake), tmp_path / "c")
    without = compare(fake.comparison(), tmp_path / "d")
    for record in (with_them, *with_them["pairs"], *with_them["arms"].values()):
        del record["beside"]
    assert with_them == without
    assert "beside" not in json.loads((tmp_path / "d" / "comparison.json").read_text())


def test_pairing_is_used_where_declared(fake: Any, tmp_path: Path) -> None:
    plan = asked(fake, 0.5, 0.52, paired=True, seeds=tuple(range(5)))
    dim = compare(plan, tmp_path / "c")["pairs"][0]["beside"][0]
    a, b = (np.array(fake.scores(plan.arms[x], range(5))) / 2 for x in "ba")
    wanted = ttest_rel(a, b).confidence_interval(0.95)
    assert (dim["interval"]["low"], dim["interval"]["high"]) == pytest.approx(tuple(wanted))


def test_a_score_that_a_run_lacks_is_missing_with_its_count(fake: Any, tmp_path: Path) -> None:
    fake.dark = {("b", 1), ("c", 0), ("c", 1), ("c", 2)}
    verdict = compare(asked(fake, 0.5, 0.6, 0.7), tmp_path / "c")
    some, none = (pair["beside"][0] for pair in verdict["pairs"])
    assert (some["of_arm"]["n"], some["of_arm"]["missing"]) == (2, 1)
    assert (some["difference"], some["interval"]) == (None, None)
    assert some["reason"] == "missing in 1 of 3 runs of b and 0 of 3 runs of a"
    assert none["of_arm"] == {"mean": None, "std": None, "n": 0, "missing": 3}
    assert verdict["arms"]["b"]["beside"]["dim"]["1"] is None
    assert verdict["pairs"][0]["beside"][1]["difference"] is not None  # loss is there
    text = describe(verdict)
    assert "(n = 2), missing in 1 of 3 against" in text
    assert "missing in 3 of 3 against" in text


def test_results_older_than_the_score_lack_it(fake: Any, tmp_path: Path) -> None:
    plan = asked(fake, beside=("dim",))
    compare(plan, tmp_path / "c")
    file = tmp_path / "c" / "b" / "seed-2" / "result.json"
    result = json.loads(file.read_text())
    del result["scores"]["dim"]
    file.write_text(json.dumps(result))
    (dim,) = status(plan, tmp_path / "c")["pairs"][0]["beside"]
    assert dim["of_arm"]["missing"] == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"seeds": (0, 1)}, "fewer than 3 seeds"), ({"spread": 0.0}, "all runs of b scored 0.")],
)
def test_where_seeds_cannot_speak_there_is_a_difference_without_interval(
    fake: Any, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    spread = changes.pop("spread", 0.01)
    arms = {n: fake.recipe(n, quality=q, spread=spread) for n, q in (("a", 0.5), ("b", 0.6))}
    verdict = compare(asked(fake, arms=arms, **changes), tmp_path / "c")
    dim = verdict["pairs"][0]["beside"][0]
    assert dim["interval"] is None
    assert reason in dim["reason"]
    assert dim["difference"] == pytest.approx(0.05, abs=0.02)


def test_an_incomplete_plan_shows_no_difference(fake: Any, tmp_path: Path) -> None:
    stop = StopRequest()
    fake.acts["b", 3] = {"inside": lambda: setattr(stop, "_signal", 15)}
    plan = asked(fake, 0.1, 0.9, seeds=tuple(range(5)))
    with pytest.raises(Stopped):
        compare(plan, tmp_path / "c", stop=stop)
    dim = status(plan, tmp_path / "c")["pairs"][0]["beside"][0]
    assert (dim["difference"], dim["interval"], dim["by_group"]) == (None, None, None)
    assert dim["reason"] == "not complete: 3 and 4 of 5 seeds"
    assert (dim["of_arm"]["n"], dim["of_arm"]["missing"]) == (3, 0)


def test_before_the_first_run_nothing_is_missing(fake: Any, tmp_path: Path) -> None:
    verdict = status(asked(fake), tmp_path / "c")
    assert verdict["pairs"][0]["beside"][0]["of_arm"]["missing"] == 0
    assert "no score yet against no score yet (not complete: 0 and 0 of 3" in describe(verdict)


def test_added_seeds_show_in_the_exploratory_part(fake: Any, tmp_path: Path) -> None:
    first = compare(asked(fake), tmp_path / "c")["pairs"]
    more = compare(asked(fake, seeds=tuple(range(5))), tmp_path / "c")
    assert more["pairs"] == first
    assert more["exploratory"]["pairs"][0]["beside"][0]["of_arm"]["n"] == 5


def test_differences_of_every_drive_are_means_over_seeds(fake: Any, tmp_path: Path) -> None:
    fake.groups = "xyz" * 13 + "x"
    verdict = compare(asked(fake), tmp_path / "c")
    dim, loss = verdict["pairs"][0]["beside"]
    for drive in "xyz":
        inside = np.array(list(fake.groups)) == drive
        a, b = (
            np.mean(
                [
                    fake.run_items(tmp_path / "c" / x / f"seed-{seed}", "dim").values[inside].mean()
                    for seed in range(3)
                ]
            )
            for x in "ba"
        )
        assert dim["by_group"][drive] == pytest.approx(a - b)
    assert loss["by_group"] is None  # the study keeps no items of it
    assert f"x {dim['by_group']['x']:+.4f}, y " in describe(verdict)


def test_runs_on_different_items_show_no_drives(fake: Any, tmp_path: Path) -> None:
    fake.groups = "xy" * 20
    compare(asked(fake, beside=("dim",)), tmp_path / "c")
    file = tmp_path / "c" / "b" / "seed-1" / "items.json"
    file.write_text(json.dumps({"top1": [0.5] * 3, "dim": [0.5] * 3}))
    (dim,) = status(asked(fake, beside=("dim",)), tmp_path / "c")["pairs"][0]["beside"]
    assert dim["by_group"] is None
    assert dim["difference"] is not None


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        (("dim", "bright"), "'bright' cannot stand beside the metric: fake has top1, loss, dim"),
        (("dim", "top1"), "'top1' is the metric that is judged"),
        (("dim", "dim"), "'dim' stands beside the metric twice"),
    ],
)
def test_names_that_the_study_does_not_know_are_refused(
    fake: Any, tmp_path: Path, beside: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        compare(asked(fake, beside=beside), tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c").exists()


def test_a_score_that_is_only_described_cannot_be_the_metric(fake: Any) -> None:
    with pytest.raises(UserError, match="--metric dim: fake has top1, loss"):
        check(fake.comparison(metric="dim"), {"top1": True, "loss": False}, ("dim",))


def test_a_metric_from_the_command_line_does_not_stand_beside_itself(fake: Any) -> None:
    assert changed(asked(fake), metric="loss").beside == ("dim",)
    assert changed(asked(fake), margin=0.1).beside == ("dim", "loss")


def test_they_are_fixed_before_the_first_look(fake: Any, tmp_path: Path) -> None:
    compare(asked(fake, beside=("dim",)), tmp_path / "c")
    plan = json.loads((tmp_path / "c" / "comparison.json").read_text())
    assert plan["beside"] == ["dim"]
    for other in (("dim", "loss"), ()):
        with pytest.raises(UserError, match=r"its beside is \['dim'\]"):
            compare(asked(fake, beside=other), tmp_path / "c")
    compare(fake.comparison(), tmp_path / "d")  # a plan without the key, as older ones are
    with pytest.raises(UserError, match=r"its beside is \[\], yours is \['dim'\]"):
        status(asked(fake, beside=("dim",)), tmp_path / "d")
    assert "beside" not in status(fake.comparison(), tmp_path / "d")


def fixed(fake: Any, **changes: Any) -> Any:
    arms = {"one": Predictions("one.csv"), "second": Predictions("second.csv")}
    plan = asked(
        fake, arms=arms, varies=frozenset(), seeds=(), data="cifar100:DIR", beside=("dim",)
    )
    return replace(plan, **changes)


def values() -> tuple[Any, Any]:
    one, second = (np.random.default_rng(n).uniform(0, 1, 40) for n in (7, 10))
    return one / 2, second / 2


def test_fixed_predictions_are_described_by_items(fake: Any, tmp_path: Path) -> None:
    verdict = compare(fixed(fake), tmp_path / "c")
    one, second = values()
    arm = verdict["arms"]["one"]["beside"]["dim"]
    assert arm == {"score": pytest.approx(one.mean()), "items": 40, "by_group": None}
    (dim,) = verdict["pairs"][0]["beside"]
    assert (dim["of_arm"], dim["of_baseline"]) == pytest.approx((second.mean(), one.mean()))
    wanted = ttest_rel(second, one).confidence_interval(0.95)
    assert (dim["interval"]["low"], dim["interval"]["high"]) == pytest.approx(tuple(wanted))
    assert dim["pooled_difference"] == pytest.approx(dim["difference"])
    assert not {"sentence", "new_items"} & set(dim)
    assert json.loads((tmp_path / "c" / "verdict.json").read_text()) == verdict
    assert f"{second.mean():.4f} against {one.mean():.4f}: " in describe(verdict)


def test_few_drives_of_fixed_predictions_have_no_interval(fake: Any, tmp_path: Path) -> None:
    fake.groups = "xxxxyyyz" * 5
    verdict = compare(fixed(fake), tmp_path / "c")
    one, second = values()
    (dim,) = verdict["pairs"][0]["beside"]
    letters = np.array(list(fake.groups))
    by_drive = {x: (second - one)[letters == x].mean() for x in "xyz"}
    assert dim["by_group"] == pytest.approx(by_drive)
    assert dim["difference"] == pytest.approx(np.mean(list(by_drive.values())))
    assert dim["pooled_difference"] == pytest.approx((second - one).mean())
    assert dim["interval"] is None
    assert dim["reason"] == "new groups cannot be judged from 3"
    assert verdict["arms"]["one"]["beside"]["dim"]["by_group"]["z"] == pytest.approx(
        one[letters == "z"].mean()
    )
    assert "mean over groups; over all items" in describe(verdict)


def test_a_score_without_any_item_is_missing(fake: Any, tmp_path: Path) -> None:
    fake.dark = {("one.csv", -1), ("second.csv", -1)}
    verdict = compare(fixed(fake), tmp_path / "c")
    arm = verdict["arms"]["one"]["beside"]["dim"]
    assert arm == {"score": None, "items": 0, "by_group": None}
    (dim,) = verdict["pairs"][0]["beside"]
    assert (dim["difference"], dim["interval"]) == (None, None)
    assert "no item of the data has it" in dim["reason"]
    assert "missing against missing" in describe(verdict)


def test_fixed_predictions_without_such_a_score_are_refused(fake: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'loss' cannot stand beside the metric: predictions have"):
        compare(fixed(fake, beside=("loss",)), tmp_path / "c")
