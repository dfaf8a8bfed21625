"""Verdicts: every special case, values worked by hand, properties."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from triptych.stats import Comparand, Judgement, holm, judge
from triptych.stats.intervals import p_of_equivalence, welch

LOW = [0.500, 0.510, 0.505, 0.495, 0.490]
HIGH = [0.600, 0.615, 0.605, 0.590, 0.595]
NEAR = [0.501, 0.511, 0.504, 0.496, 0.492]


def one(a: list[float], b: list[float], margin: float = 0.02, **options: object) -> Judgement:
    diverged = {key: options.pop(key) for key in list(options) if key.startswith("diverged")}
    pair = Comparand("arm", "base", a, b, **diverged)  # type: ignore[arg-type]
    return judge([pair], margin, **options)[0]  # type: ignore[arg-type]


def test_better_and_worse() -> None:
    found = one(HIGH, LOW)
    expected = reference.ttest_ind(HIGH, LOW, equal_var=False)
    assert found.verdict == "better"
    assert found.reason == "the difference exceeds the margin"
    assert found.exceeds_margin
    assert found.p_difference == found.p_difference_adjusted == pytest.approx(expected.pvalue)
    assert found.interval is not None
    assert found.interval.low == pytest.approx(expected.confidence_interval(0.95).low)
    assert found.interval == found.adjusted_interval
    assert found.method == "Welch t over seeds"
    assert one(LOW, HIGH).verdict == "worse"
    assert one(LOW, HIGH).exceeds_margin
    assert one(HIGH, LOW, higher_is_better=False).verdict == "worse"
    assert one(LOW, HIGH, higher_is_better=False).verdict == "better"


def test_measurable_without_exceeding_the_margin() -> None:
    found = one(HIGH, LOW, margin=0.1)
    assert (found.verdict, found.exceeds_margin) == ("better", False)
    assert found.reason == "not shown to exceed the margin"


def test_equivalent() -> None:
    found = one(NEAR, LOW)
    assert (found.verdict, found.reason) == ("equivalent", "the difference is below the margin")
    assert found.p_equivalence == pytest.approx(
        float(p_of_equivalence(*welch(np.array(NEAR), np.array(LOW)), 0.02))
    )


def test_equivalent_although_measurable() -> None:
    found = one(HIGH, LOW, margin=0.5)
    assert found.p_difference is not None
    assert found.p_difference < 0.001
    assert (found.verdict, found.reason) == ("equivalent", "measurable, below the margin")
    assert not found.exceeds_margin


def test_not_significant_is_not_equivalent() -> None:
    found = one(NEAR, LOW, margin=0.005)
    assert found.p_difference is not None
    assert found.p_difference > 0.5
    assert found.verdict == "undecided"
    assert found.reason == "neither a difference nor equivalence is shown"


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ([0.5], [0.6], "fewer than 3 seeds"),
        ([0.5, 0.6], [0.7, 0.9], "fewer than 3 seeds"),
        (HIGH, LOW[:2], "fewer than 3 seeds"),
        (HIGH, LOW[:4], "unequal numbers of seeds: 5 and 4"),
        (HIGH, [0.5] * 5, "all runs of base scored 0.5000"),
        ([0.1 + 0.2, 0.3, 0.3], [0.5, 0.6, 0.7], "all runs of arm scored 0.3000"),
        ([0.0] * 3, [0.5, 0.6, 0.7], "all runs of arm scored 0.0000"),  # at its floor
        ([0.6] * 3, [0.5] * 3, "all runs of arm scored 0.6000, all of base scored 0.5000"),
    ],
)
def test_no_verdict(a: list[float], b: list[float], reason: str) -> None:
    found = one(a, b)
    assert (found.verdict, found.reason) == ("undecided", reason)
    assert found.interval is None
    assert found.adjusted_interval is None
    assert found.p_difference is found.p_equivalence is None
    assert found.p_difference_adjusted is found.p_equivalence_adjusted is None
    assert not found.exceeds_margin


def test_divergence_forbids_equivalence_only() -> None:
    found = one(NEAR, LOW, diverged_a=1)
    assert (found.verdict, found.warnings) == ("undecided", ("arm: 1 of 5 diverged",))
    assert found.reason == "a run diverged, so equivalence cannot be claimed"
    found = one(HIGH, LOW, margin=0.5, diverged_b=2)
    assert (found.verdict, found.warnings) == ("better", ("base: 2 of 5 diverged",))
    assert one([0.6] * 3, LOW[:3], diverged_a=3).warnings == ("arm: 3 of 3 diverged",)
    with pytest.raises(ValueError, match="cannot have diverged"):
        Comparand("arm", "base", HIGH, LOW, diverged_a=6)


def test_pairing_is_as_declared() -> None:
    """A large common part hides a small difference from Welch and not from the paired t."""
    a = [0.50, 0.60, 0.70, 0.80, 0.90]
    b = [0.49, 0.58, 0.69, 0.78, 0.89]
    assert one(a, b, margin=0.001).verdict == "undecided"
    found = one(a, b, margin=0.001, paired=True)
    assert found.verdict == "better"
    assert found.p_difference == pytest.approx(reference.ttest_rel(a, b).pvalue)
    assert found.method == "paired t over seeds"
    alike = one(a, [x - 0.01 for x in a], paired=True)
    assert (alike.verdict, alike.reason) == ("undecided", "every seed gave the same difference")


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_several_arms_are_adjusted() -> None:
    pairs = [
        Comparand("high", "base", HIGH[:3], LOW[:3]),
        Comparand("near", "base", NEAR[:3], LOW[:3]),
        Comparand("lost", "base", NEAR[:2], LOW[:3]),
    ]
    high, near, lost = judge(pairs, 0.012)
    assert high.p_difference is not None
    assert high.p_difference_adjusted == pytest.approx(3 * high.p_difference)
    assert near.p_equivalence is not None
    assert near.p_equivalence < 0.05 < 3 * near.p_equivalence
    assert near.p_equivalence_adjusted == pytest.approx(3 * near.p_equivalence)
    assert high.verdict == "better"
    assert near.verdict == lost.verdict == "undecided"
    assert near.reason == "neither a difference nor equivalence is shown over 3 comparisons"
    assert lost.reason == "fewer than 3 seeds"
    assert high.method == "Welch t over seeds, Holm over 3 comparisons"
    for found in (high, near):
        assert found.interval is not None
        assert found.adjusted_interval is not None
        assert found.interval.level == pytest.approx(0.95)
        assert found.adjusted_interval.level == pytest.approx(1 - 0.05 / 3)
        assert found.adjusted_interval.low < found.interval.low
    assert one(NEAR[:3], LOW[:3], margin=0.012).verdict == "equivalent"


def test_holm_keeps_the_error_of_the_family() -> None:
    """Three arms like the baseline: one of them differs in 5 % of comparisons, not in 11 %."""
    generator = np.random.default_rng(3)
    any_alone = any_adjusted = 0
    for _ in range(600):
        base, *arms = generator.normal(size=(4, 10)).tolist()
        found = judge([Comparand(str(i), "base", a, base) for i, a in enumerate(arms)], 0.1)
        any_alone += any((j.p_difference or 1) <= 0.05 for j in found)
        any_adjusted += any(j.verdict != "undecided" for j in found)
    assert 0.08 < any_alone / 600 < 0.16
    assert 0.02 < any_adjusted / 600 < 0.065


def test_ready_for_json() -> None:
    for found in (one(HIGH, LOW, diverged_a=1), one([0.5], [0.6])):
        text = json.dumps(found.as_dict(), allow_nan=False)
        assert json.loads(text) == found.as_dict()


@pytest.mark.parametrize("margin", [0, -0.1, math.nan, math.inf])
def test_bad_plans(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        one(HIGH, LOW, margin=margin)
    with pytest.raises(ValueError, match="alpha"):
        one(HIGH, LOW, alpha=1.5)


scores = st.lists(st.integers(0, 200), min_size=4, max_size=4, unique=True)


@settings(max_examples=100, deadline=None)
@given(a=scores, b=scores, lift=st.integers(0, 400), margin=st.integers(1, 300))
def test_properties(a: list[int], b: list[int], lift: int, margin: int) -> None:
    """Swapping arms or the sense of the metric mirrors the verdict; shifting changes nothing."""
    ours, theirs = [(x + lift) / 1000 for x in a], [x / 1000 for x in b]
    found = one(ours, theirs, margin / 1000)
    mirror = {"better": "worse", "worse": "better"}
    swapped = one(theirs, ours, margin / 1000)
    assert swapped.verdict == mirror.get(found.verdict, found.verdict)
    assert found.interval is not None
    assert swapped.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (-swapped.interval.high, -swapped.interval.low)
    )
    lower = one(ours, theirs, margin / 1000, higher_is_better=False)
    assert lower.verdict == swapped.verdict
    shifted = one([x + 4 for x in ours], [x + 4 for x in theirs], margin / 1000)
    assert shifted.p_difference == pytest.approx(found.p_difference, rel=1e-6)
    assert shifted.p_equivalence == pytest.approx(found.p_equivalence, rel=1e-6, abs=1e-12)
    if found.exceeds_margin:
        assert found.verdict in ("better", "worse")
