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


def fixed_verdict(
    out: Path, comparison: Comparison, study: Study, show_progress: bool
) -> dict[str, Any]:
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
        found = new_items.of_fixed(arms[arm], arms[baseline], study.group_unit, higher)
        pairs.append({"arm": arm, "baseline": baseline, **found})
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
