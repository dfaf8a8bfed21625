"""Would a difference hold on new items? Beside every verdict, and all there is of fixed arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from triptych.compare.item_sets import same_rules
from triptych.errors import UserError
from triptych.stats.items import (
    bootstrap_difference,
    bootstrap_replicates,
    item_difference,
    members_by_group,
    scores_by_group,
)
from triptych.stats.two_way import two_way_difference, two_way_from_replicates
from triptych.study import Items

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95


def of_fixed(
    a: Items, b: Items, unit: str | None, higher_is_better: bool, level: float = LEVEL
) -> dict[str, Any]:
    """The item-level verdict on two sets of predictions for the same items."""
    same_items([a, b])
    unit = unit if a.groups is not None else None
    if a.is_mean:
        verdict = item_difference(
            a.values, b.values, a.groups, level, unit=unit, higher_is_better=higher_is_better
        )
    else:
        verdict = bootstrap_difference(
            Items.score,
            a,
            b,
            len(a.keys),
            SEED,
            RESAMPLES,
            level,
            groups=a.groups,
            unit=unit,
            higher_is_better=higher_is_better,
        )
    return verdict.as_dict()


def of_runs(
    a: Sequence[Items], b: Sequence[Items], unit: str | None, higher_is_better: bool, level: float
) -> dict[str, Any]:
    """Seeds and new items together, for runs (one `Items` a seed) of two arms."""
    same_items([*a, *b])
    first, runs = a[0], [*a, *b]
    unit = unit if first.groups is not None else None
    keys, seeds = first.keys, len(a)
    if first.groups is not None:
        by_group = scores_by_group(Items.score, runs, first.groups)
        verdict = two_way_difference(
            by_group[:seeds], by_group[seeds:], level, unit=unit, higher_is_better=higher_is_better
        )
        names = members_by_group(first.groups, len(keys))
        each = by_group[:seeds].mean(axis=0) - by_group[seeds:].mean(axis=0)
        verdict = replace(verdict, by_group=dict(zip(names, each.tolist(), strict=True)))
    elif first.is_mean:
        values = np.stack([items.values for items in runs])
        verdict = two_way_difference(
            values[:seeds], values[seeds:], level, unit=unit, higher_is_better=higher_is_better
        )
    else:
        scores = np.array([items.score() for items in runs])
        replicates = bootstrap_replicates(Items.score, runs, len(keys), SEED, RESAMPLES)
        verdict = two_way_from_replicates(
            scores[:seeds],
            scores[seeds:],
            replicates[:seeds],
            replicates[seeds:],
            len(keys),
            level,
            unit=unit or "images",
            higher_is_better=higher_is_better,
        )
    return verdict.as_dict()


def same_items(runs: Sequence[Items]) -> None:
    """Raise UserError where evaluations are of different items, or judged them by other rules."""
    for other in runs[1:]:
        same_rules(runs[0], other)
        if other.keys != runs[0].keys:
            raise UserError(
                f"the arms were scored on different items ({len(runs[0].keys)} and "
                f"{len(other.keys)}); score them on the same data"
            )
