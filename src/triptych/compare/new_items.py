"""Would a difference hold on new items? Beside every verdict, and all there is of fixed arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from triptych.compare.item_sets import same_rules
from triptych.errors import UserError
from triptych.stats.items import (
    ahead_in,
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
    a: Sequence[Items],
    b: Sequence[Items],
    unit: str | None,
    higher_is_better: bool,
    level: float,
    paired: bool = False,
) -> dict[str, Any]:
    """Seeds and new items together, for runs (one `Items` a seed) of two arms.

    With groups, the sentence begins with how many of them the arm is ahead in.
    """
    same_items([*a, *b])
    first, runs = a[0], [*a, *b]
    unit = unit if first.groups is not None else None
    keys, seeds = first.keys, len(a)
    if first.groups is not None:
        by_group = scores_by_group(Items.score, runs, first.groups)
        verdict = two_way_difference(
            by_group[:seeds],
            by_group[seeds:],
            level,
            unit=unit or "groups",
            higher_is_better=higher_is_better,
            paired=paired,
        )
        names = members_by_group(first.groups, len(keys))
        each = by_group[:seeds].mean(axis=0) - by_group[seeds:].mean(axis=0)
        differences = dict(zip(names, each.tolist(), strict=True))
        ahead = ahead_in(differences, unit or "groups", higher_is_better)
        verdict = replace(verdict, by_group=differences, sentence=f"{ahead}; {verdict.sentence}")
    elif first.is_mean:
        values = np.stack([items.values for items in runs])
        verdict = two_way_difference(
            values[:seeds],
            values[seeds:],
            level,
            unit=unit,
            higher_is_better=higher_is_better,
            paired=paired,
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
            paired=paired,
        )
    return verdict.as_dict()


def beside_verdict(
    found: dict[str, Any], verdict: str, margin: float, higher_is_better: bool
) -> dict[str, Any]:
    """What `of_runs` found, in line with the verdict of the seeds: whether that holds on new items.

    What the seeds do not show on this test set is not shown on new items. Of `equivalent` it is
    asked whether the difference is below the margin on new items too.
    """
    seen = found["interval"]
    if seen is None:
        return found
    ahead = found["difference"] > 0
    better = "better" if ahead == higher_is_better else "worse"
    unit = seen["method"].rpartition(" and ")[2]
    if verdict == "equivalent":
        inside = max(-seen["low"], seen["high"]) < margin
        claim = f"below the margin on new seeds and {unit} too"
        holds, text = (
            ("yes", claim) if inside else ("not shown", f"that it is {claim} is not shown")
        )
    elif found["new_items"] != "yes" or verdict == better:
        return found
    elif verdict == "undecided":
        holds, text = "not shown", "not shown, as the seeds alone do not show a difference"
    else:
        text = f"not shown: counting all {unit} alike it is {better}, over all items {verdict}"
        holds = "not shown"
    begins = found["sentence"].rpartition("; ")
    return found | {"new_items": holds, "sentence": "".join((*begins[:2], text))}


def same_items(runs: Sequence[Items]) -> None:
    """Raise UserError where evaluations are of different items, or judged them by other rules."""
    for other in runs[1:]:
        same_rules(runs[0], other)
        if other.keys != runs[0].keys:
            raise UserError(
                f"the arms were scored on different items ({len(runs[0].keys)} and "
                f"{len(other.keys)}); score them on the same data"
            )
