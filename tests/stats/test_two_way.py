"""Seeds and items together: by hand, the limits, and coverage against seeds alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from triptych.stats import bootstrap_replicates, two_way_difference, two_way_from_replicates
from triptych.stats.intervals import Floats, p_of_difference, welch
from triptych.stats.two_way import combine, two_way


def recipes(
    seed: int, runs: int, seeds: int, items: int, of_seed: float, of_item: float, of_rest: float
) -> tuple[Floats, Floats]:
    """Two equal recipes' scores (runs, seeds, items) on items that favour one or the other."""
    generator = np.random.default_rng(seed)
    favour = of_item * generator.normal(size=(runs, 1, items))
    a, b = (
        of_seed * generator.normal(size=(runs, seeds, 1))
        + sign * favour / 2
        + of_rest * generator.normal(size=(runs, seeds, items))
        for sign in (1, -1)
    )
    return a, b


def test_combined_by_hand() -> None:
    """Three seeds: variances 1 and 4, so V_seed = 5/3; V_item = 2; V_res = 6/6 = 1."""
    se, df = combine(
        np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]), np.array(2.0), np.array(6.0), 11
    )
    total = 5 / 3 + 2 - 1
    assert float(se) == pytest.approx(math.sqrt(total))
    assert float(df) == pytest.approx(total**2 / ((1 / 9 + 16 / 9) / 2 + 4 / 10))
    se, _ = combine(
        np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]), np.array(2.0), np.array(60.0), 11
    )
    assert float(se) == pytest.approx(math.sqrt(2)), "never below the larger of the two"


def test_paired_by_hand() -> None:
    """Differences 1, 1, 4: variance 3, so V_seed = 1; V_item = 2; V_res = 3/6."""
    se, df = combine(
        *(np.array([2.0, 3.0, 7.0]), np.array([1.0, 2.0, 3.0])),
        *(np.array(2.0), np.array(3.0), 11, True),
    )
    assert float(se) == pytest.approx(math.sqrt(2.5))
    assert float(df) == pytest.approx(2.5**2 / (1 / 2 + 4 / 10))


def test_pairs_cover_and_are_narrower() -> None:
    """Where the seed moves both arms alike, the unpaired interval is far too wide."""
    a, b = recipes(9, 4000, 5, 100, 0.01, 0.1, 0.05)
    shared = 0.1 * np.random.default_rng(10).normal(size=(4000, 5, 1))
    difference = np.abs((a - b).mean(axis=(1, 2)))
    widths = []
    for is_paired, low, high in ((True, 0.94, 0.97), (False, 0.999, 1.0)):
        se, df = two_way(a + shared, b + shared, is_paired)
        widths.append(float(np.median(stdtrit(df, 0.975) * se)))
        assert low <= (difference <= stdtrit(df, 0.975) * se).mean() <= high
    assert 4 * widths[0] < widths[1]


def test_the_function_is_the_formula() -> None:
    a, b = (arm[0] for arm in recipes(1, 1, 4, 50, 0.02, 0.3, 0.3))
    found = two_way_difference(a + 0.5, b)
    se, df = two_way(a + 0.5, b)
    assert found.interval is not None
    assert found.difference == pytest.approx(a.mean() + 0.5 - b.mean())
    assert found.interval.se == pytest.approx(float(se))
    assert found.interval.high - found.difference == pytest.approx(
        float(stdtrit(df, 0.975)) * float(se)
    )
    assert found.interval.method == "two-way over seeds and images"
    assert (found.new_items, found.sentence) == ("yes", "ahead on new seeds and images too")
    assert two_way_difference(b, a + 0.5).sentence == "behind on new seeds and images too"


def test_replicates_of_a_mean_agree_with_the_exact_variance() -> None:
    a, b = (arm[0] for arm in recipes(3, 1, 5, 80, 0.02, 0.4, 0.3))
    replicates = bootstrap_replicates(
        lambda items, weights: float(np.average(items, weights=weights)), [*a, *b], 80, 0, 3000
    )
    found = two_way_from_replicates(
        a.mean(axis=1), b.mean(axis=1), replicates[:5], replicates[5:], items=80
    )
    exact = two_way_difference(a, b)
    assert found.interval is not None
    assert exact.interval is not None
    assert found.difference == pytest.approx(exact.difference)
    assert found.interval.se == pytest.approx(exact.interval.se, rel=0.04)
    assert found.interval.df == pytest.approx(exact.interval.df, rel=0.15)
    few = two_way_from_replicates(
        a.mean(axis=1), b.mean(axis=1), replicates[:5], replicates[5:], items=29
    )
    assert (few.interval, few.sentence) == (None, "new images cannot be judged from 29")


def test_groups_count_once() -> None:
    a, b = (arm[0] for arm in recipes(4, 1, 3, 21, 0.02, 0.4, 0.1))
    groups = np.repeat(np.arange(6), [1, 2, 3, 4, 5, 6])
    found = two_way_difference(a, b, groups=groups.tolist(), unit="drives")
    ours, theirs = (
        np.stack([arm[:, groups == g].mean(axis=1) for g in range(6)], axis=1) for arm in (a, b)
    )
    expected = two_way_difference(ours, theirs, unit="drives")
    assert found.interval == expected.interval
    assert found.by_group is not None
    assert found.by_group["5"] == pytest.approx((ours - theirs)[:, 5].mean())
    three = two_way_difference(a, b, groups=[i % 3 for i in range(21)], unit="drives")
    assert (three.interval, three.new_items) == (None, "cannot be judged")
    assert three.sentence == "new drives cannot be judged from 3"
    assert three.by_group is not None
    assert len(three.by_group) == 3


def test_what_cannot_be_judged() -> None:
    a, b = (arm[0] for arm in recipes(5, 1, 2, 50, 0.02, 0.4, 0.1))
    assert two_way_difference(a, b).sentence == "new images cannot be judged from 2 seeds"
    still = two_way_difference(np.ones((3, 8)), np.zeros((3, 8)))
    assert (still.interval, still.new_items) == (None, "cannot be judged")
    with pytest.raises(ValueError, match="seeds, items"):
        two_way_difference(a, b[:, :40])
    with pytest.raises(ValueError, match="finite"):
        two_way_difference(a, np.full_like(b, np.nan))
    with pytest.raises(ValueError, match="replicates"):
        two_way_from_replicates(np.ones(3), np.ones(2), a, b, items=50)


def coverages(*sizes: float) -> tuple[float, float]:
    """Coverage of the two-way interval and of Welch over seeds alone."""
    a, b = recipes(8, 4000, int(sizes[0]), int(sizes[1]), *sizes[2:])
    difference = np.abs(a.mean(axis=(1, 2)) - b.mean(axis=(1, 2)))
    se, df = two_way(a, b)
    alone = p_of_difference(*welch(a.mean(axis=2), b.mean(axis=2))) > 0.05
    return float((difference <= stdtrit(df, 0.975) * se).mean()), float(alone.mean())


@pytest.mark.parametrize(
    ("sizes", "both", "seeds_alone"),
    [
        ((10, 200, 0.02, 0.2, 0.3), 0.95, 0.835),
        ((10, 30, 0.02, 0.3, 0.3), 0.95, 0.625),
        ((5, 100, 0.02, 0.3, 0.3), 0.95, 0.805),
        ((3, 100, 0.02, 0.3, 0.3), 0.96, 0.90),
    ],
)
def test_covers_new_seeds_and_items(
    sizes: tuple[float, ...], both: float, seeds_alone: float
) -> None:
    found, alone = coverages(*sizes)
    assert found == pytest.approx(both, abs=0.012)
    assert alone == pytest.approx(seeds_alone, abs=0.02)


@pytest.mark.parametrize(
    ("of_item", "of_rest", "low", "high"),
    [(0.3, 0.01, 0.94, 0.96), (0.3, 0.3, 0.95, 0.99), (0.0, 0.3, 0.975, 0.999)],
)
def test_never_covers_too_little_with_few_items(
    of_item: float, of_rest: float, low: float, high: float
) -> None:
    """At 6 drives the interval errs on the wide side, most where no drive favours an arm."""
    for seeds in (3, 5, 10):
        found, _ = coverages(seeds, 6, 0.01, of_item, of_rest)
        assert low < found < high, seeds


def test_one_run_per_arm_says_nothing_about_recipes() -> None:
    """The interval over 6,000 images of two runs covers a third of what new seeds would do."""
    a, b = (arm[:, 0] for arm in recipes(6, 300, 1, 6000, 0.01, 0.0, 0.3))
    each = a - b
    reach = 1.96 * each.std(axis=1, ddof=1) / math.sqrt(6000)
    assert (np.abs(each.mean(axis=1)) <= reach).mean() == pytest.approx(0.45, abs=0.07)
