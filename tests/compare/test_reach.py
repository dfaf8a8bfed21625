"""The samples that arms need for a score, as the verdict has them and as a person reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triptych import cli
from triptych.compare import Comparison
from triptych.compare.curves import Point
from triptych.compare.describe import describe
from triptych.compare.reach import curves_of
from triptych.compare.reach_words import factor
from triptych.compare.run import compare, status
from triptych.errors import UserError

Record = dict[str, Any]
Score = Callable[[int, int], float | None]
"""(epoch, seed) → score on val."""


def line(slope: float) -> Score:
    """Seeds of 0.97, 1.00, 1.03 times the slope."""
    return lambda epoch, seed: slope * (1 + 0.03 * (seed - 1)) * epoch


@pytest.fixture
def reach(fake: Any, tmp_path: Path) -> Callable[..., Record]:
    """The verdict on arms a, b, … whose curves over 10 epochs of 100 samples are given."""

    def make(*curves: Score, every: int = 1, name: str = "top1", **changes: Any) -> Record:
        asked: Comparison = fake.comparison(*(0.5 + 0.1 * i for i in range(len(curves))), **changes)
        compare(asked, tmp_path / "c")
        for arm, score in zip(asked.arms, curves, strict=True):
            for seed in asked.seeds:
                run = tmp_path / f"c/{arm}/seed-{seed}"
                events = [
                    {"split": "val", "step": e, "epoch": e, name: score(e, seed)}
                    for e in range(every, 11, every)
                ]
                (run / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
                result = json.loads((run / "result.json").read_text())
                result |= {"epochs": 10, "samples": 1000, "times": {"seconds": 50.0}}
                (run / "result.json").write_text(json.dumps(result))
        verdict = compare(asked, tmp_path / "c")
        assert json.loads((tmp_path / "c/verdict.json").read_text()) == json.loads(
            json.dumps(verdict)
        )
        assert status(asked, tmp_path / "c")["pairs"] == verdict["pairs"]
        make.again = lambda: compare(asked, tmp_path / "c")  # type: ignore[attr-defined]
        return verdict

    return make


def test_three_times_the_slope_is_a_third_of_the_samples(reach: Callable[..., Record]) -> None:
    verdict = reach(line(0.02), line(0.06))
    (pair,) = verdict["pairs"]
    found = pair["samples_to_reach"]
    assert found["way"] == {
        "weaker": "a",
        "start": pytest.approx(0.02),
        "best": pytest.approx(0.2),
    }
    assert [each["share"] for each in found["scores"]] == [0.5, 0.75, 0.9]
    each = found["scores"][found["shown"]]
    assert each["kind"] == "estimate"
    assert each["target"] == pytest.approx(0.02 + 0.9 * 0.18)
    assert each["ratio"] == pytest.approx(3)
    assert each["low"] < 3 < each["high"]
    assert each["low"] * each["high"] == pytest.approx(9)  # symmetric on logarithms
    # A seed of 0.97 times the slope needs 1 / 0.97 of the samples; 100 an epoch.
    base = each["baseline"]
    assert base["samples"]["0"] == pytest.approx(100 * each["target"] / 0.02 / 0.97)
    assert base["bound"] == {"0": "exact", "1": "exact", "2": "exact"}
    assert base["mean_epochs"] == pytest.approx(base["mean_samples"] / 100)
    assert base["share_of_run"]["0"] == pytest.approx(base["samples"]["0"] / 1000)
    whole = found["whole_training"]
    assert (whole["of"], whole["by"], whole["samples"]) == ("a", "b", pytest.approx(1000))
    assert whole["reached"]["samples"]["1"] == pytest.approx(1000 / 3)
    first, second = found["sentences"]
    assert re.fullmatch(
        r"b needs 1/3\.0 \(95 % interval 1/3\.\d to 1/2\.\d\) of the samples of a to reach top1 "
        r"0\.182 on val: 303 against 910, or 3\.0 against 9\.1 epochs",
        first,
    )
    assert second == (
        "b comes to top1 0.200 on val, the best of the whole training of a (mean over seeds), "
        "after 333 samples (324 to 344 by seed), 1/3.0 of it"
    )
    text = describe(verdict)
    assert f"    samples: {first}\n" in text
    assert "described, no verdict; scores lie on the way" in text


def test_the_slower_arm_may_be_the_one_that_is_judged(reach: Callable[..., Record]) -> None:
    (pair,) = reach(line(0.06), line(0.02))["pairs"]
    sentence = pair["samples_to_reach"]["sentences"][0]
    assert sentence.startswith("b needs 3.0 times (95 % interval 2.")
    assert " the samples of a to reach top1 0.182 on val: 910 against 303" in sentence


def test_where_the_slower_arm_does_not_get_there(reach: Callable[..., Record]) -> None:
    """One seed of the baseline stays behind at a third of what the others come to."""
    slow: Score = lambda epoch, seed: 0.01 * epoch * (0.3 if seed == 0 else 1)  # noqa: E731
    fast: Score = lambda epoch, seed: 0.3 + 0.001 * epoch * (seed + 1)  # noqa: E731
    (pair,) = reach(slow, fast)["pairs"]
    found = pair["samples_to_reach"]
    each = found["scores"][found["shown"]]
    assert (each["kind"], each["high"]) == ("at least", None)
    assert each["baseline"]["bound"] == {"0": "more than", "1": "exact", "2": "exact"}
    assert each["baseline"]["samples"]["0"] == 1000
    assert set(each["arm"]["bound"].values()) == {"at most"}
    assert each["arm"]["samples"]["0"] == 100
    assert found["sentences"][0] == (
        f"a needs at least {factor(each['low'])} times the samples of b to reach top1 "
        f"{each['target']:.3f} on val (lower end of a 95 % interval; in these seeds "
        f"{factor(each['ratio'])}): a did not reach it within 1,000 samples in 1 of 3 seeds; b had "
        "reached it at the first evaluation, after 100 samples, in 3 of 3 seeds"
    )
    assert found["sentences"][1].endswith("after at most 100 samples, at most 1/10 of it")


def test_a_loss_is_reached_from_above(reach: Callable[..., Record]) -> None:
    falls: Callable[[float], Score] = lambda slope: (  # noqa: E731
        lambda epoch, seed: 3 - slope * (1 + 0.03 * (seed - 1)) * epoch
    )
    (pair,) = reach(falls(0.1), falls(0.2), name="loss", metric="loss")["pairs"]
    found = pair["samples_to_reach"]
    assert found["way"] == {"weaker": "a", "start": pytest.approx(2.9), "best": pytest.approx(2)}
    each = found["scores"][found["shown"]]
    assert each["target"] == pytest.approx(2.09)
    assert each["ratio"] == pytest.approx(2)


def test_a_ratio_from_the_first_two_evaluations_is_marked(reach: Callable[..., Record]) -> None:
    rises: Score = lambda epoch, seed: 0.12 + 0.02 * (epoch - 2) + 0.001 * seed  # noqa: E731
    (pair,) = reach(line(0.02), rises, every=2)["pairs"]
    sentence = pair["samples_to_reach"]["sentences"][0]
    assert "as b came to it between the first two" not in sentence
    steep: Score = lambda epoch, seed: 0.04 + 0.08 * (epoch - 2) + 0.001 * seed  # noqa: E731
    (pair,) = reach(line(0.02), steep, every=2)["pairs"]
    sentence = pair["samples_to_reach"]["sentences"][0]
    assert "; as b came to it between the first two evaluations" in sentence
    assert sentence.endswith("the truth is probably further from 1")


def test_a_slower_arm_that_was_evaluated_rarely_moves_no_ratio_away_from_1(
    reach: Callable[..., Record], tmp_path: Path
) -> None:
    """The same training twice, of which b was evaluated after 4 and 8 epochs only."""
    bends: Score = lambda epoch, seed: (0.2 + 0.001 * seed) * epoch**0.5  # noqa: E731
    asked = reach(bends, bends)
    for seed in asked["plan"]["seeds"]:
        file = tmp_path / f"c/b/seed-{seed}/metrics.jsonl"
        lines = file.read_text().splitlines()
        file.write_text("".join(f"{line}\n" for line in (lines[3], lines[7])))
    (pair,) = reach.again()["pairs"]  # type: ignore[attr-defined]
    sentence = pair["samples_to_reach"]["sentences"][0]
    assert sentence.startswith("b needs 1.")
    assert "further from 1" not in sentence


def test_two_seeds_give_a_ratio_without_an_interval(reach: Callable[..., Record]) -> None:
    (pair,) = reach(line(0.02), line(0.06), seeds=(0, 1))["pairs"]
    assert pair["verdict"] == "undecided"
    sentence = pair["samples_to_reach"]["sentences"][0]
    assert sentence.startswith("b needs 1/3.0 (no interval: fewer than 3 seeds) of the samples")


def test_pairing_is_used_where_it_is_declared(reach: Callable[..., Record]) -> None:
    wobbly: Score = lambda epoch, seed: 0.06 * (1 + 0.031 * (seed - 1) ** 3) * epoch  # noqa: E731
    (pair,) = reach(line(0.02), wobbly, paired=True)["pairs"]
    assert pair["samples_to_reach"]["scores"][0]["method"] == "paired t over seeds, on logarithms"


def test_scores_that_are_asked_for_are_told_besides(
    reach: Callable[..., Record], tmp_path: Path
) -> None:
    plain = reach(line(0.02), line(0.06))
    verdict = reach(line(0.02), line(0.06), reach=(0.1, 0.3, 0.9))
    plan = json.loads((tmp_path / "c/comparison.json").read_text())
    assert plan["reach"] == [0.1, 0.3, 0.9]  # it may be asked later
    found = verdict["pairs"][0]["samples_to_reach"]
    asked = found.pop("asked")
    sentences = found.pop("sentences")
    before = plain["pairs"][0]["samples_to_reach"]
    assert sentences[:2] == before.pop("sentences")
    assert found == before  # no verdict and no other number depends on it
    assert verdict["pairs"][0]["verdict"] == plain["pairs"][0]["verdict"]
    assert [(each["share"], each["target"]) for each in asked] == [
        (None, 0.1),
        (None, 0.3),
        (None, 0.9),
    ]
    assert asked[0]["ratio"] == pytest.approx(3)
    # 0.02 an epoch of 100 samples: 5 epochs; a seed of 0.97 of it needs 1 / 0.97 of them.
    assert asked[0]["baseline"]["samples"]["0"] == pytest.approx(500 / 0.97)
    assert asked[1]["kind"] == "at least"  # a ends at 0.2
    assert asked[2]["kind"] is None  # and b at 0.6
    assert sentences[2].startswith("b needs 1/3.0 (95 % interval 1/3.")
    assert " to reach top1 0.100 on val: 167 against 500, or 1.7 against 5.0 ep" in sentences[2]
    assert sentences[3].startswith("a needs at least ")
    assert " to reach top1 0.300 on val (lower end of" in sentences[3]
    assert sentences[4] == (
        "how many samples of a one of b is worth on the way to top1 0.900 on val cannot be said: "
        "no seed of either reached it"
    )


def test_a_score_that_both_had_at_first(reach: Callable[..., Record]) -> None:
    (pair,) = reach(line(0.2), line(0.6), reach=(0.01,))["pairs"]
    assert pair["samples_to_reach"]["sentences"][-1].endswith(
        "cannot be said: every seed of both had it at the first evaluation"
    )


def test_a_bound_below_1_shows_nothing(reach: Callable[..., Record]) -> None:
    """One seed of b does not get there, and those that do are no slower."""
    ours: Score = lambda epoch, seed: (0.01 if seed == 0 else 0.06) * epoch  # noqa: E731
    (pair,) = reach(line(0.05), ours, reach=(0.4,))["pairs"]
    each = pair["samples_to_reach"]["asked"][0]
    assert each["kind"] == "at most"
    assert 1 / each["high"] < 1
    sentence = pair["samples_to_reach"]["sentences"][-1]
    assert sentence.startswith(
        "it is not shown which of b and a needs more samples to reach top1 0.400 on val: b at "
        f"least {factor(1 / each['high'])} times those of a (lower end of a 95 % interval; in"
    )


def test_a_score_is_asked_for_of_runs_that_were_scored_once(reach: Callable[..., Record]) -> None:
    (pair,) = reach(line(0.02), line(0.06), every=10, reach=(0.1,))["pairs"]
    assert pair["samples_to_reach"]["sentences"] == [
        "how many samples of a one of b is worth cannot be said: b was scored fewer than 2 times"
    ]


def test_a_score_is_asked_for_where_the_curves_have_no_common_way(
    reach: Callable[..., Record],
) -> None:
    flat: Score = lambda epoch, seed: 0.01  # noqa: E731
    (pair,) = reach(flat, line(0.06), reach=(0.2,))["pairs"]
    found = pair["samples_to_reach"]
    assert found["scores"] == []
    assert found["asked"][0]["arm"]["mean_samples"] == pytest.approx(333, abs=1)
    assert set(found["asked"][0]["baseline"]["bound"].values()) == {"more than"}
    assert found["sentences"][0].endswith("the weaker arm got no better after its first evaluation")
    assert found["sentences"][1].endswith("a did not reach it within 1,000 samples in 3 of 3 seeds")


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_none_is_refused(reach: Callable[..., Record], score: float) -> None:
    with pytest.raises(UserError, match=r"^--reach (nan|inf): write a score of top1$"):
        reach(line(0.02), line(0.06), reach=(score,))


def test_no_curve_no_word_of_it(reach: Callable[..., Record]) -> None:
    verdict = reach(line(0.02), line(0.06), every=10)
    assert "samples_to_reach" not in verdict
    assert "samples_to_reach" not in verdict["pairs"][0]
    assert "to reach" not in describe(verdict)


def test_a_curve_without_a_finite_score_is_named(reach: Callable[..., Record]) -> None:
    broken: Score = lambda epoch, seed: None if seed == 2 else 0.01 * epoch  # noqa: E731
    (pair,) = reach(line(0.02), broken)["pairs"]
    assert pair["samples_to_reach"]["sentences"] == [
        "how many samples of a one of b is worth cannot be said: b seed 2 has no score on its curve"
    ]


def test_what_the_weights_have_seen_stands_with_the_verdict(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    assert "notes" not in compare(asked, tmp_path / "c")
    for seed in range(3):
        file = tmp_path / f"c/b/seed-{seed}/result.json"
        seen = {"init": {"loaded": {"seen": "COCO, with boxes of all 20 classes of VOC"}}}
        file.write_text(json.dumps(json.loads(file.read_text()) | seen))
    verdict = compare(asked, tmp_path / "c")
    note = "b began with weights that have seen COCO, with boxes of all 20 classes of VOC"
    assert verdict["notes"] == [note]
    assert f"  note: {note}\n" in describe(verdict)


def test_an_epoch_that_was_scored_twice_counts_as_it_was_last() -> None:
    points = [
        Point(1, "a", 0, "val", "x", 0.1, 100),
        Point(2, "a", 0, "val", "x", 0.2, 200),
        Point(2, "a", 0, "val", "x", 0.3, 200),
        Point(1, "a", 1, "val", "x", 0.1, None),
    ]
    (curve,) = curves_of(points).values()
    assert (curve.samples, curve.scores) == ((100, 200), (0.1, 0.3))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((3.24, "3.2"), (1 / 3.24, "1/3.2"), (1.0, "1.00"), (0.999, "1.00"), (1.04, "1.04")),
        *((1 / 1.04, "1/1.04"), (12.4, "12"), (1234.0, "1,234"), (1 / 1234, "1/1,234")),
    ],
)
def test_factor(value: float, text: str) -> None:
    assert factor(value) == text


def test_the_command_draws_the_curves(
    reach: Callable[..., Record],
    fake: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reach(line(0.02), line(0.06))
    asked = fake.comparison(0.5, 0.6)
    monkeypatch.setattr("triptych.compare.sources.of_command_line", lambda *_, **__: asked)
    command = ["compare", "it.py", "--out", str(tmp_path / "c")]
    assert cli.main([*command, "--status"]) == 0
    assert not (tmp_path / "c/curves.svg").exists()
    assert cli.main(command) == 0
    assert "b needs 1/3.0 (95 % interval" in capsys.readouterr().out
    assert "score at which samples are compared" in (tmp_path / "c/curves.svg").read_text()
