"""New seeds and new images together: the interval of a difference between two recipes.

An interval over seeds holds on this test set; one over images holds for these weights. A recipe
that is trained again and used on other images meets both kinds of chance at once. What a seed
does on single images is part of both variances and would count twice, so it is taken off once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from triptych.stats.intervals import Floats, Scores, as_scores, t_interval
from triptych.stats.items import (
    FEWEST_GROUPS,
    FEWEST_TO_RESAMPLE,
    ItemVerdict,
    conclude,
    members_by_group,
)
from triptych.stats.verdicts import FEWEST_SEEDS


def two_way_difference(
    a: Floats,
    b: Floats,
    level: float = 0.95,
    *,
    groups: Sequence[Hashable] | None = None,
    unit: str | None = None,
    higher_is_better: bool = True,
    paired: bool = False,
) -> ItemVerdict:
    """Difference of a metric that is a mean over items, for new seeds and new items.

    a and b are scores (seeds, items), of as many seeds and the same items; `paired` where equal
    seeds share a split or an order. With `groups` (items,), each group counts once. Fewer than 3
    seeds or 6 items (groups) give no interval. For a metric that is no mean, give its value in
    every group (`scores_by_group`) instead of every item, or use `two_way_from_replicates`.
    """
    ours, theirs = _matrices(a, b)
    unit = unit or ("images" if groups is None else "groups")
    by_group = None
    if groups is not None:
        members = members_by_group(groups, ours.shape[1])
        ours, theirs = (
            np.stack([arm[:, where].mean(axis=1) for where in members.values()], axis=1)
            for arm in (ours, theirs)
        )
        each = (ours.mean(axis=0) - theirs.mean(axis=0)).tolist()
        by_group = dict(zip(members, each, strict=True))
    seeds, items = ours.shape
    difference = float(ours.mean() - theirs.mean())
    if seeds < FEWEST_SEEDS or items < FEWEST_GROUPS:
        return replace(_cannot(difference, seeds, items, unit), by_group=by_group)
    se, df = two_way(ours, theirs, paired)
    verdict = _verdict(difference, float(se), float(df), level, unit, higher_is_better, paired)
    return replace(verdict, by_group=by_group)


def two_way_from_replicates(
    a_scores: Scores,
    b_scores: Scores,
    a_replicates: Floats,
    b_replicates: Floats,
    items: int,
    level: float = 0.95,
    *,
    unit: str = "images",
    higher_is_better: bool = True,
    paired: bool = False,
) -> ItemVerdict:
    """The same for any metric, from its value on resamples of `items` independent items.

    Scores are (seeds,), replicates (seeds, resamples) from one call of `bootstrap_replicates`
    with all runs of both arms. Fewer than 3 seeds or 30 items give no interval.
    """
    ours, theirs = _matrices(a_replicates, b_replicates)
    a_runs, b_runs = as_scores(a_scores, "a"), as_scores(b_scores, "b")
    if not len(a_runs) == len(b_runs) == len(ours):
        raise ValueError("every run needs one score and one row of replicates")
    difference = float(a_runs.mean() - b_runs.mean())
    if len(ours) < FEWEST_SEEDS or items < FEWEST_TO_RESAMPLE:
        return _cannot(difference, len(ours), items, unit)
    of_items = np.var(ours.mean(axis=0) - theirs.mean(axis=0), ddof=1)
    parts = (ours - theirs,) if paired else (ours, theirs)
    of_rest = sum(np.var(arm - arm.mean(axis=0), axis=1, ddof=1).sum() for arm in parts)
    se, df = combine(a_runs, b_runs, of_items, np.asarray(of_rest), items, paired)
    return _verdict(difference, float(se), float(df), level, unit, higher_is_better, paired)


def two_way(a: Floats, b: Floats, paired: bool = False) -> tuple[Floats, Floats]:
    """Standard error and degrees of freedom for means of a and b (..., seeds, items).

    The variance that a bootstrap of a mean would find is known: that of the items over their
    number.
    """
    items = a.shape[-1]
    of_items = np.var(a.mean(axis=-2) - b.mean(axis=-2), axis=-1, ddof=1) / items
    of_rest = np.zeros_like(of_items)
    for arm in (a - b,) if paired else (a, b):
        alone = arm - arm.mean(axis=-2, keepdims=True)
        of_rest = of_rest + np.var(alone, axis=-1, ddof=1).sum(axis=-1) / items
    return combine(a.mean(axis=-1), b.mean(axis=-1), of_items, of_rest, items, paired)


def combine(
    a: Floats, b: Floats, of_items: Floats, of_rest: Floats, items: int, paired: bool = False
) -> tuple[Floats, Floats]:
    """Standard error and degrees of freedom from runs' scores a, b (..., seeds) and two variances.

    `of_items` is the variance over resamples of items of the difference between the arms' means
    over seeds; `of_rest` the sum over all runs of the variance of a run minus its arm's mean.
    Where seeds are `paired`, their differences a - b take the place of two arms' runs, in
    `of_rest` too. Satterthwaite's degrees of freedom, the items counting with one less than their
    number.
    """
    n = a.shape[-1]
    each = np.stack([run.var(axis=-1, ddof=1) / n for run in ((a - b,) if paired else (a, b))])
    of_seeds = each.sum(axis=0)
    total = of_seeds + of_items - of_rest / (n * (n - 1))
    total = np.maximum(total, np.maximum(of_seeds, of_items))
    parts = (each**2).sum(axis=0) / (n - 1) + of_items**2 / (items - 1)
    with np.errstate(invalid="ignore"):
        return np.sqrt(total), total**2 / parts


def _matrices(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    ours, theirs = (np.asarray(arm, dtype=np.float64) for arm in (a, b))
    if ours.ndim != 2 or ours.shape != theirs.shape or not ours.size:
        raise ValueError(f"both arms must be (seeds, items), not {ours.shape} and {theirs.shape}")
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("an item's score is not finite")
    return ours, theirs


def _cannot(difference: float, seeds: int, items: int, unit: str) -> ItemVerdict:
    why = f"from {seeds} seeds" if seeds < FEWEST_SEEDS else f"from {items}"
    return conclude(None, difference, unit, True, why)


def _verdict(
    difference: float,
    se: float,
    df: float,
    level: float,
    unit: str,
    higher_is_better: bool,
    paired: bool,
) -> ItemVerdict:
    if se == 0:
        return conclude(None, difference, unit, higher_is_better, "where nothing varies")
    method = f"two-way over {'paired ' if paired else ''}seeds and {unit}"
    interval = t_interval(difference, se, df, level, method)
    return conclude(interval, difference, f"seeds and {unit}", higher_is_better, "")
