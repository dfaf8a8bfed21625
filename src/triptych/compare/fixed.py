"""Comparing fixed predictions: what is judged are these weights on this data, by items alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from triptych.audit import audit_comparison
from triptych.compare import new_items
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
    higher = study.metrics[comparison.metric]
    pairs = []
    for arm, baseline in comparison.judged():
        a, b = arms[arm], arms[baseline]
        level = 1 - (1 - new_items.LEVEL) / len(comparison.judged())
        found = new_items.of_fixed(a, b, study.group_unit, higher, level)
        pooled = a.score() - b.score()
        if found["by_group"]:
            unit = study.group_unit or "groups"
            found["sentence"] = _by_more_than_the_margin(
                found, pooled, unit, comparison.margin if higher else -comparison.margin
            )
        pairs.append({"arm": arm, "baseline": baseline, **found, "pooled_difference": pooled})
    return {
        "question": comparison.question,
        "study": comparison.study,
        "metric": comparison.metric,
        "higher_is_better": higher,
        "margin": comparison.margin,
        "plan": {"kind": "fixed predictions"},
        "data": f"{comparison.data.partition(':')[0]} {comparison.split}",
        "judged": SAID,
        "arms": {
            name: {
                "score": items.score(),
                "items": len(items.keys),
                "by_group": _by_group(items),
                "evaluation": _scores(out / name),
            }
            for name, items in arms.items()
        },
        "pairs": pairs,
        "audit": [line.as_dict() for line in audit_comparison({name: [] for name in arms})],
    }


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


def _by_group(items: Items) -> dict[str, float] | None:
    """The metric on the items of every group alone."""
    if items.groups is None:
        return None
    names = sorted(set(items.groups))
    groups = np.array(items.groups)
    return {name: items.score((groups == name).astype(np.float64)) for name in names}


def _scores(folder: Path) -> dict[str, Any]:
    """What the arm's evaluation says of itself, such as the runtime."""
    try:
        record = read_json(folder / "scores.json")
    except UserError:
        return {}
    wanted = ("model", "size", "runtime", "fingerprint")
    return {key: record[key] for key in wanted if key in record}
