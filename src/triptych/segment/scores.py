"""From the per-image counts of an evaluation to its scores: all frames, per drive, by luminance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from triptych.data.luminance import BINS, luminance_bin
from triptych.errors import UserError
from triptych.segment.metrics import BF_RULE, IOU_RULE, Counts, iou, mean, pixel_accuracy

BY_LIGHT = {f"mIoU@{name}": name for name in BINS}
"""Scores of the frames of one luminance bin alone, `mIoU@0-60` and so on → the bin."""


@dataclass(frozen=True)
class Item:
    """What one image contributes to every score."""

    key: str
    group: str
    luminance: float
    confusion: Counts
    """Shape (classes, classes + 1), see `triptych.segment.metrics.Counts`."""
    bf: Sequence[float | None]
    """Boundary F by class; None where the truth does not have the class."""


def items_table(items: Sequence[Item], classes: Sequence[str]) -> pa.Table:
    """One row an image: key, group, luminance, confusion, BF.

    `confusion` is the matrix (classes, classes + 1) in row order as a list of int64, rows the
    truth, the last column pixels predicted as void; `BF` a list by class, null where the truth
    does not have it. The class names are in the schema's metadata under `classes` (JSON).
    """
    columns = {
        "key": pa.array([item.key for item in items], pa.string()),
        "group": pa.array([item.group for item in items], pa.string()),
        "luminance": pa.array([item.luminance for item in items], pa.float64()),
        "confusion": pa.array([item.confusion.ravel() for item in items], pa.list_(pa.int64())),
        "BF": pa.array([list(item.bf) for item in items], pa.list_(pa.float64())),
    }
    return pa.table(columns).replace_schema_metadata({"classes": json.dumps(list(classes))})


def read_items(path: Path) -> tuple[list[Item], list[str]]:
    """Items and class names of an `items.parquet`. Raises UserError where it is not one."""
    try:
        table = pq.read_table(path)
        classes: list[str] = json.loads(table.schema.metadata[b"classes"])
        shape = (len(classes), len(classes) + 1)
        items = [
            Item(
                row["key"],
                row["group"],
                row["luminance"],
                np.array(row["confusion"], np.int64).reshape(shape),
                row["BF"],
            )
            for row in table.to_pylist()
        ]
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not the items of an evaluation ({error})") from error
    return items, classes


def scores_from_items(path: Path) -> dict[str, Any]:
    """Every score of an evaluation, computed anew from its `items.parquet`.

    Returns what `scores.json` holds under the same names. Raises UserError.
    """
    return scores_of(*read_items(path))


def scores_of(items: Sequence[Item], classes: Sequence[str]) -> dict[str, Any]:
    """Scores of all frames, with `groups` (by drive) and `luminance` (by bin) in the same form."""
    groups: dict[str, list[Item]] = {}
    bins: dict[str, list[Item]] = {name: [] for name in BINS}
    for item in items:
        groups.setdefault(item.group, []).append(item)
        bins[luminance_bin(item.luminance)].append(item)
    return {
        **_summary(items, classes),
        "rule": {"mIoU": IOU_RULE, "BF": BF_RULE},
        "groups": {name: _summary(groups[name], classes) for name in sorted(groups)},
        "luminance": {name: _summary(members, classes) for name, members in bins.items()},
    }


def headline(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores that a run's log and result show; the rest is in its evaluation.

    An `mIoU@LOW-HIGH` is null where no frame lies in its luminance bin.
    """
    shown = {name: scores[name] for name in ("mIoU", "pixel_accuracy", "BF")}
    return shown | {name: scores["luminance"][light]["mIoU"] for name, light in BY_LIGHT.items()}


def _summary(items: Sequence[Item], classes: Sequence[str]) -> dict[str, Any]:
    counts = np.zeros((len(classes), len(classes) + 1), np.int64)
    for item in items:
        counts += item.confusion
    ious = iou(counts)
    bfs = [mean([item.bf[index] for item in items]) for index in range(len(classes))]
    return {
        "frames": len(items),
        "mIoU": mean(ious),
        "pixel_accuracy": pixel_accuracy(counts),
        "BF": mean(bfs),
        "classes_averaged": sum(value is not None for value in ious),
        "BF_classes_averaged": sum(value is not None for value in bfs),
        "IoU": _by_name(classes, ious),
        "BF_by_class": _by_name(classes, bfs),
    }


def _by_name(classes: Sequence[str], values: Sequence[float | None]) -> Mapping[str, float | None]:
    return dict(zip(classes, values, strict=True))
