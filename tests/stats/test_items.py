"""Items and groups: against scipy, by hand, the rules for few groups, and coverage."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats as reference
from scipy.special import stdtrit

from triptych.stats import (
    bootstrap_difference,
    bootstrap_replicates,
    item_difference,
    mid_p_mcnemar,
    scores_by_group,
)
from triptych.stats.intervals import Floats


def counts(seed: int, n: int, hits: float) -> NDArray[np.int64]:
    """Confusion counts (n, 2, 2) of images with about a share `hits` of right pixels."""
    generator = np.random.default_rng(seed)
    right = generator.binomial(100, np.clip(generator.normal(hits, 0.05, (n, 2)), 0, 1))
    matrix = np.zeros((n, 2, 2), np.int64)
    matrix[:, [0, 1], [0, 1]] = right
    matrix[:, [0, 1], [1, 0]] = 100 - right
    return matrix


def miou(items: NDArray[np.int64], weights: Floats) -> float:
    total = np.tensordot(weights, items, 1)
    hits = np.diagonal(total)
    return float((hits / (total.sum(axis=0) + total.sum(axis=1) - hits)).mean())


def mean(items: Floats, weights: Floats) -> float:
    return float(np.average(items, weights=weights))


def test_independent_items_are_scipys_paired_t() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 50))
    found = item_difference(a + 1, b)
    expected = reference.ttest_rel(a + 1, b).confidence_interval(0.95)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert (found.new_items, found.sentence) == ("yes", "ahead on new images too")
    assert found.interval.method == "paired t over images"
    assert found.by_group is None
    assert item_difference(b, a + 1).sentence == "behind on new images too"
    lower = item_difference(b, a + 1, higher_is_better=False)
    assert lower.sentence == "ahead on new images too"
    none = item_difference(a, b)
    assert (none.new_items, none.sentence) == (
        "not shown",
        "that it holds on new images is not shown",
    )


def test_few_groups_are_listed_and_not_pooled() -> None:
    a = [0.6, 0.8, 0.5, 0.9, 0.7]
    b = [0.5, 0.5, 0.4, 0.6, 0.8]
    found = item_difference(a, b, ["one", "one", "two", "three", "three"], unit="drives")
    assert found.by_group == pytest.approx({"one": 0.2, "two": 0.1, "three": 0.1})
    assert found.difference == pytest.approx(0.4 / 3)
    assert found.interval is None
    assert found.new_items == "cannot be judged"
    assert found.sentence == "ahead in 3 of 3 drives; new drives cannot be judged from 3"
    lower = item_difference(a, b, ["one", "one", "two", "three", "three"], higher_is_better=False)
    assert lower.sentence == "ahead in 0 of 3 groups; new groups cannot be judged from 3"
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False)) == found.as_dict()


def test_from_six_groups_each_counts_once() -> None:
    """However many images a drive has, it is one of six differences."""
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(6), [1, 2, 30, 4, 50, 6])
    a, b = generator.normal(size=(2, groups.size))
    a += 2
    each = [float((a - b)[groups == g].mean()) for g in range(6)]
    expected = reference.ttest_1samp(each, 0).confidence_interval(0.95)
    found = item_difference(a, b, groups.tolist(), unit="drives")
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.low, expected.high))
    assert found.interval.df == 5
    assert found.difference == pytest.approx(np.mean(each))
    assert found.new_items == "yes"
    assert found.sentence == "ahead in 6 of 6 drives; ahead on new drives too"
    five = groups < 5
    few = item_difference(a[five], b[five], groups[five].tolist())
    assert (few.interval, few.new_items) == (None, "cannot be judged")


def test_items_that_allow_no_interval() -> None:
    few = item_difference([1, 2, 3, 4, 5], [0, 2, 1, 1, 1])
    assert (few.interval, few.sentence) == (None, "new images cannot be judged from 5")
    alike = item_difference([0.3] * 20, [0.1] * 20)
    assert alike.interval is None
    assert (
        alike.sentence == "new images cannot be judged because every one gave the same difference"
    )


def test_bad_items() -> None:
    with pytest.raises(ValueError, match="same items"):
        item_difference([1, 2], [1])
    with pytest.raises(ValueError, match="2 groups for 3 items"):
        item_difference([1, 2, 3], [1, 2, 3], ["x", "y"])
    with pytest.raises(ValueError, match="finite"):
        item_difference([1, math.nan], [1, 2])
    with pytest.raises(ValueError, match="2 groups for 30 items"):
        bootstrap_difference(
            miou, counts(0, 30, 0.8), counts(0, 30, 0.8), 30, seed=0, groups=["x", "y"]
        )


def test_the_bootstrap_of_a_mean_is_nearly_the_t_interval() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(size=(2, 200))
    found = bootstrap_difference(mean, a, b, 200, seed=0)
    expected = item_difference(a, b).interval
    assert found.interval is not None
    assert expected is not None
    assert found.difference == pytest.approx(expected.difference)
    assert found.interval.se == pytest.approx(expected.se, rel=0.06)
    assert found.interval.low == pytest.approx(expected.low, abs=0.1 * expected.se * 2)
    assert found.interval.high == pytest.approx(expected.high, abs=0.1 * expected.se * 2)
    assert found.interval.method == "paired bootstrap over images"
    assert found.interval.df is None


def test_the_bootstrap_is_paired_and_seeded() -> None:
    a, b = counts(0, 60, 0.80), counts(1, 60, 0.70)
    found = bootstrap_difference(miou, a, b, 60, seed=4, resamples=300)
    assert found == bootstrap_difference(miou, a, b, 60, seed=4, resamples=300)
    assert found != bootstrap_difference(miou, a, b, 60, seed=5, resamples=300)
    assert found.difference == pytest.approx(miou(a, np.ones(60)) - miou(b, np.ones(60)))
    assert found.new_items == "yes"
    same = bootstrap_replicates(miou, [a, b, a], 60, seed=4, resamples=20)
    assert same.shape == (3, 20)
    assert (same[0] == same[2]).all()
    assert (same[0] != same[1]).all()
    twins = bootstrap_difference(miou, a, a, 60, seed=4, resamples=50)
    assert (twins.interval, twins.new_items) == (None, "cannot be judged")


def test_no_bootstrap_below_thirty() -> None:
    found = bootstrap_difference(miou, counts(0, 29, 0.8), counts(1, 29, 0.7), 29, seed=0)
    assert (found.interval, found.sentence) == (None, "new images cannot be judged from 29")


def test_groups_of_a_metric_that_is_no_mean() -> None:
    a, b = counts(0, 60, 0.80), counts(1, 60, 0.70)
    groups = ["dawn"] * 10 + ["noon"] * 30 + ["dusk"] * 20
    found = bootstrap_difference(miou, a, b, 60, seed=0, groups=groups, unit="drives")
    noon = slice(10, 40)
    assert found.by_group is not None
    assert list(found.by_group) == ["dawn", "noon", "dusk"]
    assert found.by_group["noon"] == pytest.approx(
        miou(a[noon], np.ones(30)) - miou(b[noon], np.ones(30))
    )
    assert found.sentence == "ahead in 3 of 3 drives; new drives cannot be judged from 3"
    assert scores_by_group(miou, [a, b], groups).shape == (2, 3)
    many = bootstrap_difference(miou, a, b, 60, seed=0, groups=[i % 6 for i in range(60)])
    assert many.interval is not None
    assert many.interval.df == 5


def test_a_metric_that_has_no_value_is_refused() -> None:
    nothing = np.zeros((40, 2, 2), np.int64)
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="not finite"),
    ):
        bootstrap_difference(miou, nothing, nothing, 40, seed=0, resamples=2)
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match="group is not finite"),
    ):
        bootstrap_difference(miou, nothing, nothing, 40, seed=0, groups=["x"] * 40)


def test_mcnemar_by_hand() -> None:
    """9 and 2 of 11: 2 · (1 + 11 + 55) / 2048 - 55 / 2048; 2 and 2 of 4: 1 - 6 / 16 / 2."""
    a = [True] * 9 + [False] * 2 + [True] * 30
    b = [False] * 9 + [True] * 2 + [True] * 30
    assert mid_p_mcnemar(a, b) == pytest.approx((2 * 67 - 55) / 2048)
    assert mid_p_mcnemar(b, a) == mid_p_mcnemar(a, b)
    assert mid_p_mcnemar([True, True, False, False], [False, False, True, True]) == 1 - 6 / 32
    assert mid_p_mcnemar([True] * 5, [False] * 5) == pytest.approx(2 / 2**5 - 1 / 2**5)
    assert mid_p_mcnemar([True, False], [True, False]) == 1.0
    exact = reference.binomtest(30, 80).pvalue
    a, b = [True] * 30 + [False] * 50, [False] * 30 + [True] * 50
    assert mid_p_mcnemar(a, b) == pytest.approx(exact - reference.binom.pmf(30, 80, 0.5))
    with pytest.raises(ValueError, match="same items"):
        mid_p_mcnemar([True], [True, False])


def drives(seed: int, number: int, frames: int = 40) -> Floats:
    """Differences (runs, drives, frames) whose drives differ about as much as half a frame."""
    generator = np.random.default_rng(seed)
    of_drive = generator.normal(size=(4000, number, 1))
    return of_drive + 2 * generator.normal(size=(4000, number, frames))


@pytest.mark.parametrize(("number", "bootstrap"), [(3, 0.74), (6, 0.87), (20, 0.925)])
def test_t_over_drives_covers_and_resampling_does_not(number: int, bootstrap: float) -> None:
    each = drives(number, number)
    means = each.mean(axis=2)
    error = np.abs(means.mean(axis=1))
    reach = stdtrit(number - 1, 0.975) * means.std(axis=1, ddof=1) / math.sqrt(number)
    assert (error <= reach).mean() == pytest.approx(0.95, abs=0.012)

    frames = each.reshape(len(each), -1)
    reach = 1.96 * frames.std(axis=1, ddof=1) / math.sqrt(frames.shape[1])
    assert 0.38 < (error <= reach).mean() < 0.49

    generator = np.random.default_rng(1)
    chosen = generator.integers(number, size=(2000, 500 * number))
    resampled = np.take_along_axis(means[:2000], chosen, axis=1).reshape(2000, 500, number)
    low, high = np.quantile(resampled.mean(axis=2), [0.025, 0.975], axis=1)
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(bootstrap, abs=0.025)


def test_the_interval_over_groups_is_the_simulated_one() -> None:
    """The function itself covers over 6 drives; a few hundred runs of it."""
    covered = 0
    each = drives(6, 6, 5)[:600]
    groups = np.repeat(np.arange(6), 5).tolist()
    for run in each.reshape(600, -1):
        interval = item_difference(run, np.zeros(30), groups).interval
        covered += interval is not None and interval.low <= 0 <= interval.high
    assert covered / 600 == pytest.approx(0.95, abs=0.025)
