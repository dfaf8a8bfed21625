"""Samples to a score: by hand, against scipy on logarithms, and coverage by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as reference

from triptych.stats.samples_to_reach import (
    SHARES,
    Curve,
    Reached,
    SampleRatio,
    Way,
    reached,
    running_best,
    sample_ratio,
    shown,
    way_of,
)


def curve(*scores: float | None, step: float = 100) -> Curve:
    return Curve(tuple(step * (i + 1) for i in range(len(scores))), scores)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.1, Reached(100, "at most")),
        (0.2, Reached(150, early=True)),
        (0.3, Reached(200, early=True)),
        # After the fall to 0.2 the running best stands at 0.3 until the evaluation that passes it.
        (0.4, Reached(350)),
        (0.5, Reached(400)),
        (0.6, Reached(400, "more than")),
    ],
)
def test_reached_by_hand(target: float, expected: Reached) -> None:
    found = reached(curve(0.1, 0.3, 0.2, 0.5), target)
    assert found.samples == pytest.approx(expected.samples)
    assert (found.bound, found.early) == (expected.bound, expected.early)


def test_a_score_that_is_not_finite_reaches_nothing() -> None:
    broken = curve(None, 0.2, 0.4, math.nan, None)
    assert reached(broken, 0.2) == Reached(200, "at most")
    found = reached(broken, 0.3)
    assert found.samples == pytest.approx(250)
    assert found.early
    assert reached(broken, 0.5) == Reached(500, "more than")
    assert list(running_best(broken)) == [-math.inf, 0.2, 0.4, 0.4, 0.4]


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=8), st.floats(0.01, 1, allow_subnormal=False)
)
def test_lower_is_better_is_the_mirror(scores: list[float], target: float) -> None:
    mirror = curve(*[-score for score in scores])
    assert reached(curve(*scores), target) == reached(mirror, -target, higher_is_better=False)


@pytest.mark.parametrize(
    ("samples", "scores"), [((), ()), ((1.0,), ()), ((2.0, 2.0), (0.1, 0.2)), ((0.0,), (0.1,))]
)
def test_what_is_no_curve(samples: tuple[float, ...], scores: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="curve"):
        Curve(samples, scores)


def test_the_way_of_the_weaker_arm() -> None:
    strong, weak = [curve(0.3, 0.9), curve(0.3, 0.8)], [curve(0.1, 0.6, 0.5), curve(0.2, 0.4, 0.7)]
    way, other = way_of(strong, weak), way_of(weak, strong)
    assert way is not None
    assert other is not None
    assert (way.weaker, other.weaker) == ("baseline", "arm")
    assert (way.start, way.best) == pytest.approx((0.15, 0.65))
    assert (other.start, other.best) == (way.start, way.best)
    assert way.target(0.5) == pytest.approx(0.4)
    # Here the weaker arm began better: the way begins at the worse first score, of the other.
    slow = way_of([curve(0.5, 0.6)], [curve(0.1, 0.9)])
    assert slow == Way("arm", 0.1, 0.6)
    # A loss: the weaker arm is the one with the higher.
    down = way_of([curve(2.0, 1.0)], [curve(2.5, 1.5)], higher_is_better=False)
    assert down == Way("baseline", 2.5, 1.5)
    assert down is not None
    assert down.target(0.75) == pytest.approx(1.75)


def test_no_way() -> None:
    assert way_of([curve(0.5, 0.4)], [curve(0.6, 0.9)]) is None  # never better than at first
    assert way_of([curve(None, None)], [curve(0.6, 0.9)]) is None


# Straight lines from 0 at 100 samples to 1 at 1,000 of each: half-way after 550, whatever is added.
def line(factor: float) -> Curve:
    return Curve(tuple(factor * 100.0 * i for i in range(1, 11)), tuple(i / 9 for i in range(10)))


OURS, THEIRS = (1.0, 1.1, 1.3), (2.5, 3.1, 2.9)


def test_the_interval_is_scipys_on_logarithms() -> None:
    arm, base = [line(f) for f in OURS], [line(f) for f in THEIRS]
    found = sample_ratio(arm, base, 0.5)
    assert [each.samples for each in found.arm] == pytest.approx([550 * f for f in OURS])
    welch = reference.ttest_ind(np.log(THEIRS), np.log(OURS), equal_var=False)
    ends = welch.confidence_interval(0.95)
    assert found.kind == "estimate"
    assert found.ratio == pytest.approx((2.5 * 3.1 * 2.9 / (1.1 * 1.3)) ** (1 / 3))
    assert (found.low, found.high) == pytest.approx((math.exp(ends.low), math.exp(ends.high)))
    assert found.method == "Welch t over seeds, on logarithms"
    paired = sample_ratio(arm, base, 0.5, paired=True, level=0.9)
    ends = reference.ttest_rel(np.log(THEIRS), np.log(OURS)).confidence_interval(0.9)
    assert (paired.low, paired.high) == pytest.approx((math.exp(ends.low), math.exp(ends.high)))


def test_swapped_arms_give_the_reciprocal() -> None:
    arm, base = [line(f) for f in OURS], [line(f) for f in THEIRS]
    found, swapped = sample_ratio(arm, base, 0.5), sample_ratio(base, arm, 0.5)
    ours = (found.ratio, found.low, found.high)
    assert None not in ours
    assert swapped.ratio == pytest.approx(1 / (found.ratio or 0))
    assert swapped.low == pytest.approx(1 / (found.high or 0))


@pytest.mark.parametrize(
    ("arm", "base", "target", "kind"),
    [
        # The first baseline never gets to 0.8.
        (OURS, "short", 0.8, "at least"),
        # The arm is there from the start.
        ("high", THEIRS, 0.5, "at least"),
        ("high", "short", 0.8, "at least"),
        ("short", OURS, 0.8, "at most"),
        (OURS, "high", 0.5, "at most"),
        ("high", "high", 0.5, None),
        ("short", "short", 0.8, None),
    ],
)
def test_bounds(arm: object, base: object, target: float, kind: str | None) -> None:
    def of(what: object) -> list[Curve]:
        if what == "high":
            return [curve(0.9, 0.95), curve(0.9, 0.95, step=120), curve(0.85, 1.0, step=130)]
        if what == "short":
            return [curve(0.1, 0.4, 0.7, step=300), line(2), line(3)]
        assert isinstance(what, tuple)
        return [line(f) for f in what]

    found = sample_ratio(of(arm), of(base), target)
    assert found.kind == kind
    if kind is None:
        assert found.ratio is None
        assert found.reason
    elif kind == "at least":
        assert found.high is None
        assert found.low is not None
        assert found.ratio is not None
        assert found.low < found.ratio
    else:
        assert found.low is None
        assert found.high is not None
        assert found.ratio is not None
        assert found.high > found.ratio


def test_a_bound_counts_what_the_run_had() -> None:
    never = [curve(0.1, 0.2, step=1000)] * 3
    found = sample_ratio([line(f) for f in OURS], never, 0.5)
    assert found.ratio == pytest.approx(2000 / (550 * (1.1 * 1.3) ** (1 / 3)))


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_interval_from_fewer_than_three_seeds(seeds: int) -> None:
    found = sample_ratio([line(f) for f in OURS[:seeds]], [line(f) for f in THEIRS[:seeds]], 0.5)
    assert found.kind == "estimate"
    assert found.ratio is not None
    assert (found.low, found.high) == (None, None)
    assert found.reason == "fewer than 3 seeds: no interval"


def test_no_interval_where_the_seed_changes_nothing() -> None:
    found = sample_ratio([line(1)] * 3, [line(2)] * 3, 0.5)
    assert found.ratio == pytest.approx(2)
    assert found.low is None
    assert "changed nothing" in (found.reason or "")


def test_which_ratio_is_shown() -> None:
    def of(*kinds: str | None) -> list[SampleRatio]:
        return [SampleRatio(0, (), (), k, 1, 1, 1, 0.95, None, None) for k in kinds]  # type: ignore[arg-type]

    assert shown(of("estimate", "estimate", "at least")) == 1
    assert shown(of("at most", "at least", None)) == 1
    assert shown(of("at least", "estimate", "at most")) == 1
    assert shown(of(None, None)) is None


def simulated(
    generator: np.random.Generator, seeds: int, speed: float, evaluations: int, budget: float
) -> list[Curve]:
    """Saturating curves with noise; every run has a pace and a height of its own."""
    at = np.arange(1, evaluations + 1) * budget / evaluations
    found = []
    for _ in range(seeds):
        pace = 4_000 * math.exp(generator.normal(0, 0.15)) / speed
        height = 0.5 * math.exp(generator.normal(0, 0.03))
        scores = height * (1 - np.exp(-at / pace)) + generator.normal(0, 0.007, evaluations)
        found.append(Curve(tuple(at.tolist()), tuple(scores.tolist())))
    return found


def covers(seeds: int, speed: float, evaluations: int, budget: float, runs: int = 400) -> float:
    """How often what is shown, an interval or a bound, holds of the true ratio: `speed`, at every
    score. The expected shares are of 1,500 comparisons."""
    generator = np.random.default_rng(seeds)
    held = 0
    for _ in range(runs):
        a = simulated(generator, seeds, speed, evaluations, budget)
        b = simulated(generator, seeds, 1.0, evaluations, budget)
        way = way_of(a, b)
        assert way is not None
        ratios = [sample_ratio(a, b, way.target(share)) for share in SHARES]
        at = shown(ratios)
        assert at is not None
        low, high = ratios[at].low, ratios[at].high
        held += (low is None or low <= speed) and (high is None or speed <= high)
    return held / runs


@pytest.mark.parametrize(
    ("seeds", "speed", "evaluations", "budget", "expected"),
    [
        (3, 1.0, 12, 12_000, 0.967),
        (3, 3.0, 12, 12_000, 0.965),
        (5, 1.0, 12, 12_000, 0.95),
        (5, 3.0, 12, 12_000, 0.945),
        # The fast arm has nearly everything at the first evaluation: only bounds.
        (3, 20.0, 6, 12_000, 1.0),
        # It comes to the score between the first two, where a straight line asks too much of it.
        (5, 3.0, 6, 12_000, 0.911),
        (10, 3.0, 6, 12_000, 0.891),
    ],
)
def test_coverage(
    seeds: int, speed: float, evaluations: int, budget: float, expected: float
) -> None:
    assert covers(seeds, speed, evaluations, budget) == pytest.approx(expected, abs=0.025)
