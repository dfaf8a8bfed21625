"""Comparing fixed predictions: what is judged are these weights on this data, by items alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from triptych.audit import audit_comparison
from triptych.compare import beside, new_items
from triptych.compare.comparison import Comparison
from triptych.errors import UserError
from triptych.run import read_json
from triptych.study import Items, Predictions, Study

SAID = "for these weights on this data; nothing is said about ways of training"


def fixed_verdict(out: Path, comparison: Comparison, study: Study) -> dict[str, Any]:
    """Score every arm (an evaluation that is there is read) and compare item by item."""
    assert comparison.data is not None
    arms = {
        name: study.predict_items(
            arm, comparison.data, comparison.split, comparison.metric, out / name
        )
        for name, arm in comparison.arms.items()
        if isinstance(arm, Predictions)
    }
    further = {name: beside.of_evaluation(out / name, comparison.beside, study) for name in arms}
    level = level_of(len(comparison.judged()))
    pairs = []
    for arm, baseline in comparison.judged():
        found = described(arms[arm], arms[baseline], comparison, study, level)
        pairs.append({"arm": arm, "baseline": baseline, **found})
        if comparison.beside:
            pairs[-1]["beside"] = beside.of_fixed(further[arm], further[baseline], study.group_unit)
    return {
        "question": comparison.question,
        "study": comparison.study,
        "metric": comparison.metric,
        "higher_is_better": study.metrics[comparison.metric],
        "margin": comparison.margin,
        "plan": {"kind": "fixed predictions"},
        "data": name_of(comparison.data, comparison.split),
        "judged": SAID,
        "arms": {
            name: of_items(items, further[name]) | {"evaluation": scores(out / name)}
            for name, items in arms.items()
        },
        "pairs": pairs,
        **beside.heading(comparison),
        "audit": [line.as_dict() for line in audit_comparison({name: [] for name in arms})],
    }


def level_of(pairs: int) -> float:
    """The level of each interval at which those of so many pairs hold together (Bonferroni)."""
    return 1 - (1 - new_items.LEVEL) / pairs


def name_of(data: str, split: str) -> str:
    """A split as records name it, without where it lies."""
    return f"{data.partition(':')[0]} {split}"


def described(
    a: Items, b: Items, comparison: Comparison, study: Study, level: float
) -> dict[str, Any]:
    """As `compared`; where items allow no such comparison, as where a group lacks the score, the
    difference over all items and the reason. Raises UserError where they are not the same items."""
    scores = beside.finite_score(a), beside.finite_score(b)
    try:
        if None in scores:
            raise ValueError("a score is not finite: these items do not have it")
        return compared(a, b, comparison, study, level)
    except ValueError as error:
        difference = None if scores[0] is None or scores[1] is None else scores[0] - scores[1]
        return {
            "difference": difference,
            "pooled_difference": difference,
            "interval": None,
            "by_group": None,
            "new_items": "cannot be judged",
            "sentence": str(error),
        }


def compared(
    a: Items, b: Items, comparison: Comparison, study: Study, level: float
) -> dict[str, Any]:
    """What the items of an arm and its baseline say; `difference` is the mean over groups."""
    higher, unit = study.metrics[comparison.metric], study.group_unit
    found = new_items.of_fixed(a, b, unit, higher, level)
    pooled = a.score() - b.score()
    if found["by_group"]:
        margin = comparison.margin if higher else -comparison.margin
        found["sentence"] = _by_more_than_the_margin(found, pooled, unit or "groups", margin)
    return found | {"pooled_difference": pooled}


def _by_more_than_the_margin(found: dict[str, Any], pooled: float, unit: str, margin: float) -> str:
    """The sentence with what the difference is a mean of, and how often it matters.

    A negative margin says that lower is better.
    """
    signed = [each if margin > 0 else -each for each in found["by_group"].values()]
    ahead = sum(each > abs(margin) for each in signed)
    behind = sum(each < -abs(margin) for each in signed)
    return (
        f"mean over {unit} (over all items {pooled:+.4f}); {found['sentence']}; by more than the "
        f"margin ahead in {ahead}, behind in {behind} of {len(signed)} {unit}"
    )


def of_items(items: Items, further: Mapping[str, Items]) -> dict[str, Any]:
    """One arm's score, over all items and in every group, and those beside it."""
    record: dict[str, Any] = {
        "score": beside.finite_score(items),
        "items": len(items.keys),
        "by_group": _by_group(items),
    }
    if further:
        record["beside"] = {name: of_items(each, {}) for name, each in further.items()}
    return record


def _by_group(items: Items) -> dict[str, float | None] | None:
    """The score on the items of every group alone; None in a group that lacks it."""
    if items.groups is None:
        return None
    names = sorted(set(items.groups))
    groups = np.array(items.groups)
    return {
        name: beside.or_none(items.score((groups == name).astype(np.float64))) for name in names
    }


def scores(folder: Path) -> dict[str, Any]:
    """What the arm's evaluation says of itself, such as the runtime."""
    try:
        record = read_json(folder / "scores.json")
    except UserError:
        return {}
    wanted = ("model", "size", "runtime", "fingerprint")
    return {key: record[key] for key in wanted if key in record}
