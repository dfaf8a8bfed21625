"""The planner: figures by hand, its limits, and whether its seeds give the promised power."""

from __future__ import annotations

import math

import numpy as np
import pytest

from triptych.stats import SeedPlan, divergence_bound, plan_seeds
from triptych.stats.intervals import p_of_difference, p_of_equivalence, paired, summary, welch
from triptych.stats.planner import holm_factor, variance_range
from triptych.stats.sequential import over_looks


@pytest.mark.parametrize(("n", "low", "high"), [(3, 0.51, 3.76), (5, 0.60, 2.29), (10, 0.69, 1.66)])
def test_range_of_a_variance(n: int, low: float, high: float) -> None:
    assert variance_range(2 * (n - 1)) == pytest.approx((low, high), abs=0.006)


def test_range_covers_the_truth() -> None:
    generator = np.random.default_rng(2)
    for n in (3, 5):
        a, b = generator.normal(size=(2, 20_000, n))
        pooled = (a.var(axis=1, ddof=1) + b.var(axis=1, ddof=1)) / 2
        low, high = variance_range(2 * (n - 1))
        assert ((low * pooled <= 1) & (high * pooled >= 1)).mean() == pytest.approx(0.8, abs=0.012)


def test_by_hand() -> None:
    """s² = (1 + 3) / 2 = 2, margin 2: 17.1 · 0.5 + 1.5 = 10.05, rounded up."""
    found = plan_seeds(1.0, math.sqrt(3), 5, 2.0)
    assert found.seeds == 11
    assert found.low == math.ceil(8.55 * 0.599 + 1.5) == 7
    assert found.high == math.ceil(8.55 * 2.292 + 1.5) == 22
    assert found.reason == (
        "about 11 seeds per arm (7 to 22, as the deviation is known from 5 seeds) "
        "to show a difference of 2 or its absence 4 times in 5"
    )
    assert plan_seeds(1.0, math.sqrt(3), 5, 2.0, sequential=True).seeds == 14  # 11.63 + 1.5
    assert plan_seeds(1.0, math.sqrt(3), 5, 2.0, arms=3).seeds == 12  # 10.26 + 1.5
    assert plan_seeds(1.0, math.sqrt(3), 5, 2.0, arms=4).seeds == 13  # 11.37 + 1.5
    assert plan_seeds(0.001, 0.001, 5, 2.0).seeds == 3


def test_more_comparisons_cost_more() -> None:
    factors = [holm_factor(comparisons) for comparisons in range(1, 9)]
    assert factors == sorted(factors)
    assert factors[3] == pytest.approx(1.45, abs=0.005)


@pytest.mark.parametrize(("std_a", "std_b", "n"), [(None, None, 1), (0.1, None, 1)])
def test_cannot_say_from_one_seed(std_a: float | None, std_b: float | None, n: int) -> None:
    assert plan_seeds(std_a, std_b, n, 0.01) == SeedPlan(
        None, None, None, "cannot say from one seed; run 3"
    )


def test_cannot_say_where_nothing_varies() -> None:
    found = plan_seeds(0.1, 0.0, 3, 0.01)
    assert (found.seeds, found.reason) == (None, "cannot say: all runs of an arm scored the same")


def test_bad_requests() -> None:
    for margin in (0, -1, math.nan):
        with pytest.raises(ValueError, match="margin"):
            plan_seeds(0.1, 0.1, 3, margin)
    with pytest.raises(ValueError, match="two arms"):
        plan_seeds(0.1, 0.1, 3, 0.1, arms=1)


@pytest.mark.parametrize("std", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("sequential", [False, True])
def test_the_planned_seeds_give_80_percent_power(std: float, sequential: bool) -> None:
    """For a true difference of the margin and for equivalence at 0; not far more than needed."""
    n = plan_seeds(std, std, 5, 1.0, sequential=sequential).seeds
    assert n is not None
    generator = np.random.default_rng(int(10 * std))
    powers = []
    for true in (1.0, 0.0):
        a, b = generator.normal(size=(2, 4000, n)) * std
        looks = []
        for look in range(3 if sequential else n, n + 1):
            estimate = welch(a[:, :look] + true, b[:, :look])
            looks.append(p_of_difference(*estimate) if true else p_of_equivalence(*estimate, 1.0))
        p_values = np.stack(looks, axis=1)
        if sequential:
            p_values = over_looks(p_values, n)
        powers.append((p_values[:, -1] <= 0.05).mean())
    assert min(powers) > 0.79
    assert min(powers) < 0.90


def test_pairs_by_hand() -> None:
    """s² = 4 / 2 = 2, margin 2: 17.1 · 0.5 + 2 = 10.55; the arms' own deviations do not count."""
    found = plan_seeds(9.0, 9.0, 5, 2.0, std_paired=2.0)
    assert found.seeds == 11
    low, high = variance_range(4)
    assert (found.low, found.high) == (math.ceil(8.55 * low + 2), math.ceil(8.55 * high + 2))
    assert variance_range(4)[1] > variance_range(8)[1]  # fewer degrees of freedom
    alike = plan_seeds(9.0, 9.0, 5, 2.0, std_paired=0.0)
    assert (alike.seeds, alike.reason) == (None, "cannot say: every seed gave the same difference")


@pytest.mark.parametrize("std", [0.7, 1.0, 2.0])
def test_the_planned_pairs_give_80_percent_power(std: float) -> None:
    n = plan_seeds(9.0, 9.0, 5, 1.0, std_paired=std).seeds
    assert n is not None
    each = np.random.default_rng(int(10 * std)).normal(size=(10_000, n)) * std
    difference = p_of_difference(*paired(each + 1, np.zeros_like(each)))
    equivalence = p_of_equivalence(*paired(each, np.zeros_like(each)), 1.0)
    powers = [(p <= 0.05).mean() for p in (difference, equivalence)]
    assert 0.79 < min(powers) < 0.92


def test_divergence_bound() -> None:
    """By hand: with a rate of p, none of n diverges with probability (1 - p)^n = 0.05."""
    assert divergence_bound(1) == pytest.approx(0.95)
    assert divergence_bound(3) == pytest.approx(0.6316, abs=1e-4)
    assert (1 - divergence_bound(10)) ** 10 == pytest.approx(0.05)
    with pytest.raises(ValueError, match="seeds"):
        divergence_bound(0)


@pytest.mark.parametrize("score", [0.2, 0.12, 1 / 3])
def test_equal_scores_give_no_plan(score: float) -> None:
    """The mean of three times 0.2 is not 0.2, so that their deviation would be some 1e-17."""
    std = summary([score] * 3).std
    assert std == 0
    found = plan_seeds(std, 0.01, 3, 0.02)
    assert (found.seeds, found.reason) == (None, "cannot say: all runs of an arm scored the same")
