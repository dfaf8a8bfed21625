"""The `segment` study as the core sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.evaluation_folder import ITEMS
from triptych.segment.evaluate import evaluate
from triptych.segment.metrics import iou, mean, pixel_accuracy
from triptych.segment.open_labeller import open_labeller
from triptych.segment.scores import Item, read_items
from triptych.segment.train import train
from triptych.study import Items, Predictions, Study

METRICS = {"mIoU": True, "pixel_accuracy": True, "BF": True}


def run_items(folder: Path, metric: str) -> Items | None:
    """What every frame of a run's evaluation contributed to a metric."""
    found = sorted((folder / "evaluations").glob(f"*/{ITEMS}"))
    return items_of(read_items(found[0])[0], metric) if found else None


def predict_items(arm: Predictions, data: str, split: str, metric: str, folder: Path) -> Items:
    """Score a model's name, a run folder or a folder of label images on one split.

    The evaluation is kept in `folder`; one that is there already is read.
    """
    frames = open_data(data, split)
    if not (folder / ITEMS).exists():
        labeller = open_labeller(arm.source, weights=arm.weights, size=arm.size)
        size = f"{arm.size[1]}x{arm.size[0]}" if arm.size else None
        about = {"size": size, "runtime": getattr(labeller, "runtime", None)}
        evaluate(labeller, frames, out=folder, about=about)
    items = items_of(read_items(folder / ITEMS)[0], metric)
    if items.keys != tuple(frames.keys):
        raise UserError(f"{folder} holds an evaluation of other frames; remove it")
    return items


def items_of(items: Sequence[Item], metric: str) -> Items:
    """The counts behind one metric: a frame contributes counts, a drive is a cluster.

    mIoU and pixel accuracy sum the confusion matrices; BF averages each class over the frames
    that have it.
    """
    keys = tuple(item.key for item in items)
    groups = tuple(item.group for item in items)
    if metric == "BF":
        values = np.array(
            [[(value or 0.0, float(value is not None)) for value in item.bf] for item in items]
        )
        return Items(keys, groups, values, _mean_of_sums)
    counts = np.stack([item.confusion for item in items]).astype(np.float64)
    return Items(keys, groups, counts, _mean_iou if metric == "mIoU" else _pixel_accuracy)


def _mean_iou(counts: NDArray[np.float64]) -> float:
    return _or_nan(mean(iou(counts.astype(np.int64))))


def _pixel_accuracy(counts: NDArray[np.float64]) -> float:
    return _or_nan(pixel_accuracy(counts.astype(np.int64)))


def _mean_of_sums(sums: NDArray[np.float64]) -> float:
    present = sums[:, 1] > 0
    return float((sums[present, 0] / sums[present, 1]).mean()) if present.any() else float("nan")


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


STUDY = Study(
    name="segment",
    train=train,
    metrics=METRICS,
    run_items=run_items,
    predict_items=predict_items,
    group_unit="drives",
)
