"""The `segment` study as the core sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.download import file_sha256
from triptych.data.luminance import luminance_bin
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.evaluation_folder import ITEMS, SCORES
from triptych.run import newest_checkpoint, read_json, read_result
from triptych.segment.evaluate import evaluate
from triptych.segment.initialise import initialise
from triptych.segment.inverse.recipe import InverseRecipe
from triptych.segment.inverse.train import train as train_inverse
from triptych.segment.metrics import iou, mean, pixel_accuracy
from triptych.segment.models import create, entry, is_name
from triptych.segment.objective import loss_fingerprint
from triptych.segment.open_labeller import is_label_folder, open_labeller
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.scores import BY_LIGHT, Item, read_items
from triptych.segment.train import train as train_model
from triptych.stopping import StopRequest
from triptych.study import Items, Predictions, Study

METRICS = {"mIoU": True, "pixel_accuracy": True, "BF": True}
INVERSE_METRICS = {"relative_error": False, "degraded_error": False, "ranking": True}
"""Scores of an inverse network, which has no items."""


def run_items(folder: Path, metric: str) -> Items | None:
    """What every frame of a run's own evaluation contributed to a metric."""
    result = read_result(folder)
    if result is None:
        return None
    name = str(result["data"]).replace(" ", "-")
    return evaluation_items(folder / "evaluations" / name, metric)


def evaluation_items(folder: Path, metric: str) -> Items | None:
    """What every frame of the evaluation in `folder` contributed to a score."""
    file = folder / ITEMS
    return items_of(read_items(file)[0], metric) if file.exists() else None


def predict_items(arm: Predictions, data: str, split: str, metric: str, folder: Path) -> Items:
    """Score a model's name, a run folder or a folder of label images on one split.

    The evaluation is kept in `folder`; one that is there is read where neither the predictions'
    source nor the data has changed since.
    """
    frames = open_data(data, split)
    source = source_digest(arm)
    if not _is_of(folder, source, frames.fingerprint()):
        # A comparison has one size for all that take pictures; label images have their own.
        size = None if is_label_folder(arm.source) else arm.size
        labeller = open_labeller(arm.source, weights=arm.weights, size=size)
        evaluate(labeller, frames, out=folder, about={"source": source})
    return items_of(read_items(folder / ITEMS)[0], metric)


def _is_of(folder: Path, source: str, fingerprint: str) -> bool:
    """Whether the evaluation that lies there is of this source on this data."""
    if not ((folder / ITEMS).exists() and (folder / SCORES).exists()):
        return False
    scores = read_json(folder / SCORES)
    return bool(scores.get("source") == source and scores.get("fingerprint") == fingerprint)


def source_digest(arm: Predictions) -> str:
    """A digest of what the predictions come from: weights, a checkpoint, or label images."""
    place = Path(arm.source)
    if is_name(arm.source):
        published = entry(arm.source).weights
        content = file_sha256(arm.weights) if arm.weights else published and published.sha256
        return f"{arm.source} {content} {arm.size}"
    if (place / "recipe.json").exists():
        files = [newest_checkpoint(place) / "state.json"]
    else:
        files = sorted(path for path in place.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(place)} {file_sha256(file)}\n".encode())
    return f"{digest.hexdigest()} {arm.size}"


def items_of(items: Sequence[Item], metric: str) -> Items:
    """The counts behind one metric: a frame contributes counts, a drive is a cluster.

    mIoU and pixel accuracy sum the confusion matrices; BF averages each class over the frames
    that have it; `mIoU@LOW-HIGH` is the mIoU of that luminance bin's frames, NaN without any.
    Raises UserError for a score that frames do not have.
    """
    if metric in INVERSE_METRICS:
        raise UserError(f"{metric} scores inverse networks; frames have {', '.join(METRICS)}")
    if metric in BY_LIGHT:
        inside = [luminance_bin(item.luminance) == BY_LIGHT[metric] for item in items]
        return _chosen(items_of(items, "mIoU"), np.array(inside, np.bool_))
    keys = tuple(item.key for item in items)
    groups = tuple(item.group for item in items)
    if metric == "BF":
        values = np.array(
            [[(value or 0.0, float(value is not None)) for value in item.bf] for item in items]
        )
        return Items(keys, groups, values, _mean_of_sums)
    counts = np.stack([item.confusion for item in items]).astype(np.float64)
    return Items(keys, groups, counts, _mean_iou if metric == "mIoU" else _pixel_accuracy)


def _chosen(items: Items, inside: NDArray[np.bool_]) -> Items:
    """The items at which `inside` (N,) is true."""
    groups = items.groups and tuple(compress(items.groups, inside))
    return replace(
        items,
        keys=tuple(compress(items.keys, inside)),
        groups=groups,
        values=items.values[inside],
    )


def _mean_iou(counts: NDArray[np.float64]) -> float:
    return _or_nan(mean(iou(counts.astype(np.int64))))


def _pixel_accuracy(counts: NDArray[np.float64]) -> float:
    return _or_nan(pixel_accuracy(counts.astype(np.int64)))


def _mean_of_sums(sums: NDArray[np.float64]) -> float:
    present = sums[:, 1] > 0
    return float((sums[present, 0] / sums[present, 1]).mean()) if present.any() else float("nan")


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def evaluated_on(recipe: SegmentRecipe | InverseRecipe, metric: str) -> tuple[str, str]:
    """Data and split of the frames that a recipe's runs are scored on, whatever the metric.

    Where each drive is left out once (`folds`), these are all frames of the training split. Raises
    UserError for an inverse network, which labels no frames.
    """
    if isinstance(recipe, InverseRecipe):
        raise UserError(f"{recipe.name} trains an inverse network, which labels no frames")
    if recipe.folds == "drives":
        return recipe.data, recipe.train_split
    return recipe.val_data or recipe.data, recipe.val_split


def check(recipe: SegmentRecipe | InverseRecipe) -> None:
    """Raise UserError where no model has the recipe's name for it."""
    if isinstance(recipe, SegmentRecipe):
        entry(recipe.model)


def metrics_of(arm: SegmentRecipe | InverseRecipe | Predictions) -> Mapping[str, bool]:
    """The scores of an inverse network, or of what labels frames."""
    return INVERSE_METRICS if isinstance(arm, InverseRecipe) else METRICS


def preflight(recipe: SegmentRecipe | InverseRecipe) -> None:
    """Have the weights here that a recipe names. Raises as `initialise` and `loss_fingerprint`."""
    if isinstance(recipe, SegmentRecipe):
        loss_fingerprint(recipe)
        if recipe.init != "random":
            initialise(create(recipe.model), recipe)


def train(
    recipe: SegmentRecipe | InverseRecipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Train a segmentation model or an inverse network, as the recipe says."""
    if isinstance(recipe, InverseRecipe):
        return train_inverse(
            recipe, seed, out, device=device, stop=stop, show_progress=show_progress
        )
    return train_model(recipe, seed, out, device=device, stop=stop, show_progress=show_progress)


STUDY = Study(
    name="segment",
    train=train,
    check=check,
    metrics=METRICS | INVERSE_METRICS,
    run_items=run_items,
    predict_items=predict_items,
    evaluation_items=evaluation_items,
    evaluated_on=evaluated_on,
    preflight=preflight,
    metrics_of=metrics_of,
    beside=tuple(BY_LIGHT),
    group_unit="drives",
)
