"""Would the difference hold on new images? Intervals over items, and over drives they come from.

Images of one drive resemble each other, so the drive is what counts: its images enter as one
difference. Images without groups are taken as independent. Everything here speaks of the given
weights; what new seeds would do is in `verdicts` and `two_way`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from triptych.stats.intervals import Floats, Interval, Scores, as_scores, constant, t_interval

FEWEST_GROUPS = 6
FEWEST_TO_RESAMPLE = 30

ALL_ALIKE = "because every one gave the same difference"

NewItems = Literal["yes", "not shown", "cannot be judged"]

Items = TypeVar("Items")
Statistic = Callable[[Items, Floats], float]
"""Metric of a run from its items and how often each of the N items counts, weights (N,)."""


@dataclass(frozen=True)
class ItemVerdict:
    """Whether a difference on this test set holds on new items of the same kind."""

    difference: float
    """Arm minus baseline: the mean over groups where there are groups, else over all items."""
    interval: Interval | None
    by_group: dict[str, float] | None
    """The difference in every group (drive), in order of appearance; None without groups."""
    new_items: NewItems
    sentence: str

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def item_difference(
    a: Scores,
    b: Scores,
    groups: Sequence[Hashable] | None = None,
    level: float = 0.95,
    *,
    unit: str | None = None,
    higher_is_better: bool = True,
) -> ItemVerdict:
    """Paired difference of a metric that is a mean over items; a and b are scores (N,).

    `groups` (N,) names the drive, patient or site of every item. With fewer than 6 groups there
    is no pooled interval; from 6, Student's t over the groups' differences, each counted once.
    `unit` is what the groups, or else the items, are called, in the plural.
    """
    ours, theirs = as_scores(a, "a"), as_scores(b, "b")
    if ours.size != theirs.size:
        raise ValueError(f"{ours.size} and {theirs.size} items: they must be the same items")
    each = ours - theirs
    if groups is not None:
        members = members_by_group(groups, each.size)
        means = {name: float(each[where].mean()) for name, where in members.items()}
        return judge_groups(means, level, unit or "groups", higher_is_better)
    unit = unit or "images"
    interval = mean_interval(each, level, f"paired t over {unit}")
    return conclude(interval, float(each.mean()), unit, higher_is_better, why_not(each.size))


def bootstrap_difference(
    statistic: Statistic[Items],
    a_items: Items,
    b_items: Items,
    n: int,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
    *,
    groups: Sequence[Hashable] | None = None,
    unit: str | None = None,
    higher_is_better: bool = True,
) -> ItemVerdict:
    """The same for a metric that is no mean over items, such as mIoU or AP.

    a_items and b_items hold what the metric needs of each of the same n items, such as confusion
    counts (n, classes, classes). Without groups, a paired percentile bootstrap over the items
    (Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13): every resample
    is the same for both arms; fewer than 30 items give no interval. With groups, the metric of
    every group and then the rules of `item_difference`; nothing is resampled.
    """
    if groups is not None:
        names = members_by_group(groups, n)
        ours, theirs = scores_by_group(statistic, [a_items, b_items], groups)
        differences = dict(zip(names, (ours - theirs).tolist(), strict=True))
        return judge_groups(differences, level, unit or "groups", higher_is_better)
    unit = unit or "images"
    whole = np.ones(n)
    scores = np.array([statistic(items, whole) for items in (a_items, b_items)])
    difference = float(scores[0] - scores[1])
    if n < FEWEST_TO_RESAMPLE:
        return conclude(None, difference, unit, higher_is_better, f"from {n}")
    ours, theirs = bootstrap_replicates(statistic, [a_items, b_items], n, seed, resamples)
    each = ours - theirs
    interval = None
    if not constant(each, float(np.abs(scores).max())):
        low, high = np.quantile(each, [(1 - level) / 2, (1 + level) / 2]).tolist()
        method = f"paired bootstrap over {unit}"
        interval = Interval(difference, low, high, level, method, None, float(each.std(ddof=1)))
    return conclude(interval, difference, unit, higher_is_better, ALL_ALIKE)


def bootstrap_replicates(
    statistic: Statistic[Items], runs: Sequence[Items], n: int, seed: int, resamples: int = 2000
) -> Floats:
    """The metric of every run on the same resamples of the n items, (runs, resamples)."""
    generator = np.random.default_rng(seed)
    replicates = np.empty((len(runs), resamples))
    for index in range(resamples):
        weights = np.bincount(generator.integers(n, size=n), minlength=n).astype(np.float64)
        replicates[:, index] = [statistic(items, weights) for items in runs]
    if not np.isfinite(replicates).all():
        raise ValueError("the metric of a resample is not finite: there are too few items for it")
    return replicates


def scores_by_group(
    statistic: Statistic[Items], runs: Sequence[Items], groups: Sequence[Hashable]
) -> Floats:
    """The metric of every run on every group alone, (runs, groups) in order of appearance."""
    weights = []
    for where in members_by_group(groups, len(groups)).values():
        weights.append(np.zeros(len(groups)))
        weights[-1][where] = 1
    scores = np.array([[statistic(items, one) for one in weights] for items in runs])
    if not np.isfinite(scores).all():
        raise ValueError("the metric of a group is not finite: it cannot be judged by groups")
    return scores


def members_by_group(groups: Sequence[Hashable], n: int) -> dict[str, NDArray[np.int64]]:
    """Positions of every group's items; ValueError unless each of n items has a group."""
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} items")
    positions: dict[str, list[int]] = {}
    for position, group in enumerate(groups):
        positions.setdefault(str(group), []).append(position)
    return {group: np.array(where, np.int64) for group, where in positions.items()}


def judge_groups(
    differences: Mapping[str, float], level: float, unit: str, higher_is_better: bool
) -> ItemVerdict:
    """Verdict from one difference a group."""
    each = np.array(list(differences.values()))
    interval = mean_interval(each, level, f"paired t over {unit}")
    verdict = conclude(interval, float(each.mean()), unit, higher_is_better, why_not(each.size))
    return replace(
        verdict,
        by_group=dict(differences),
        sentence=f"{ahead_in(differences, unit, higher_is_better)}; {verdict.sentence}",
    )


def ahead_in(differences: Mapping[str, float], unit: str, higher_is_better: bool) -> str:
    """In how many groups the arm is ahead, in words."""
    ahead = sum((each > 0) if higher_is_better else (each < 0) for each in differences.values())
    return f"ahead in {ahead} of {len(differences)} {unit}"


def mean_interval(each: Floats, level: float, method: str) -> Interval | None:
    """Student's t interval of the mean of differences (N,); None below 6 or if all are one."""
    n = each.size
    if n < FEWEST_GROUPS or constant(each, float(np.abs(each).max())):
        return None
    se = float(each.std(ddof=1)) / math.sqrt(n)
    return t_interval(float(each.mean()), se, n - 1, level, method)


def why_not(n: int) -> str:
    """Why the mean of n differences has no interval, to end a sentence with."""
    return f"from {n}" if n < FEWEST_GROUPS else ALL_ALIKE


def conclude(
    interval: Interval | None, difference: float, unit: str, higher_is_better: bool, why: str
) -> ItemVerdict:
    """Say what an interval over items means for new ones, or `why` there is none."""
    new_items: NewItems
    if interval is None:
        new_items, sentence = "cannot be judged", f"new {unit} cannot be judged {why}"
    elif interval.excludes_zero:
        which = "ahead" if (interval.low > 0) == higher_is_better else "behind"
        new_items, sentence = "yes", f"{which} on new {unit} too"
    else:
        new_items, sentence = "not shown", f"that it holds on new {unit} is not shown"
    return ItemVerdict(difference, interval, None, new_items, sentence)


def mid_p_mcnemar(a_correct: Sequence[bool], b_correct: Sequence[bool]) -> float:
    """Two-sided p of "both are right equally often" from which items (N,) each got right.

    Only items that one arm alone got right count. The mid p is the exact binomial probability of
    a more uneven split plus half of that of one as uneven (Fagerland, Lydersen, Laake 2013, "The
    McNemar test for binary matched-pairs data"). 1 where the arms never differ.
    """
    a, b = np.asarray(a_correct, np.bool_), np.asarray(b_correct, np.bool_)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"{a.shape} and {b.shape} items: they must be the same items")
    alone, other = int((a & ~b).sum()), int((b & ~a).sum())
    if alone + other == 0:
        return 1.0
    few = min(alone, other)
    below = float(bdtr(few - 1, alone + other, 0.5)) if few else 0.0
    here = float(bdtr(few, alone + other, 0.5)) - below
    return 1 - here / 2 if alone == other else 2 * below + here
