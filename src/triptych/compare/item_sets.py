"""Items of several evaluations brought together: in one order, and as the mean of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from triptych.errors import UserError
from triptych.study import Items


def mean_of(runs: Sequence[Items]) -> Items:
    """One set of items whose score is the mean of the runs' scores, whatever items are chosen.

    Counts are kept a run each, (N, runs, …), and not summed: the mIoU of summed counts is not the
    mean of the runs' mIoU, which the table of arms shows.
    """
    if runs[0].weighted is not None:
        return replace(
            runs[0],
            values=np.arange(len(runs[0].keys), dtype=np.float64),
            weighted=lambda counts: float(np.mean([run.score(counts) for run in runs])),
        )
    values = np.stack([run.values for run in runs], axis=1)
    pooled = runs[0].pooled
    if pooled is None:
        return replace(runs[0], values=values.mean(axis=1))
    return replace(
        runs[0],
        values=values,
        pooled=lambda sums: float(np.mean([pooled(counts) for counts in sums])),
    )


def same_rules(a: Items, b: Items) -> None:
    """Raise UserError, naming both, where two evaluations judged their items by other rules."""
    if a.rules != b.rules:
        raise UserError(
            f"the arms were scored by other rules: {a.rules} and {b.rules}; score them alike"
        )


def aligned(items: Items, keys: tuple[str, ...], who: str, other: str) -> Items:
    """The items in the order of `keys`. Raises UserError where they are not the same items."""
    if items.keys == keys:
        return items
    places = {key: index for index, key in enumerate(items.keys)}
    if len(places) < len(items.keys) or sorted(places) != sorted(keys):
        lonely = sorted(set(keys) ^ set(places))
        example = f", such as {lonely[0]}, which only one has" if lonely else ""
        raise UserError(
            f"{other} was not scored on the items of {who}: {len(keys)} and {len(items.keys)} "
            f"items{example}; name the data that the runs saw"
        )
    order = [places[key] for key in keys]
    groups = items.groups and tuple(items.groups[index] for index in order)
    return replace(items, keys=keys, groups=groups, values=items.values[order])
