"""Scoring a classifier: top-1 and top-5, and what every image contributed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from triptych.classify.augment import normalise
from triptych.data.labelled_images import LabelledImages
from triptych.errors import UserError
from triptych.evaluation_folder import replaced_folder, write_files
from triptych.progress import bar

BATCH = 256
MEAN = STD = (0.5, 0.5, 0.5)
"""Of every classifier, as in the original; pixels become numbers from -1 to 1."""
RULE = "share of images whose label is the model's first (top1) or among its first five (top5)"


@torch.no_grad()
def logits_of(
    model: nn.Module, images: Tensor, *, title: str = "evaluate", progress: bool = False
) -> Tensor:
    """Logits (N, classes) float32 on the CPU, of uint8 images (N, 3, H, W), in evaluation mode.

    Always in float32, whatever the training's precision was.
    """
    was_training = model.training
    model.eval()
    found = []
    with bar(title, len(images), unit="image", show=progress) as shown:
        for part in torch.split(images, BATCH):
            found.append(model(normalise(part, MEAN, STD)).float().cpu())
            shown.advance(len(part))
    model.train(was_training)
    return torch.cat(found)


def items_table(logits: Tensor, data: LabelledImages) -> pa.Table:
    """One row an image: key, label, predicted, top1, top5 (0 or 1), loss (nats).

    A model whose logits are not finite has learnt nothing: its items are scored at chance level.
    """
    labels = torch.from_numpy(data.labels)
    classes = logits.shape[1]
    ranked = logits.topk(min(5, classes), dim=1).indices
    hits = ranked == labels[:, None]
    top1, top5 = hits[:, 0].double(), hits.any(dim=1).double()
    loss = nn.functional.cross_entropy(logits.double(), labels, reduction="none")
    broken = ~logits.isfinite().all(dim=1)
    top1[broken], top5[broken] = 1 / classes, min(5, classes) / classes
    loss[broken] = float(np.log(classes))
    columns = {
        "key": pa.array(list(data.keys), pa.string()),
        "label": pa.array(data.labels, pa.int64()),
        "predicted": pa.array(ranked[:, 0].numpy(), pa.int64()),
        "top1": pa.array(top1.numpy(), pa.float64()),
        "top5": pa.array(top5.numpy(), pa.float64()),
        "loss": pa.array(loss.numpy(), pa.float64()),
    }
    about = {"classes": json.dumps(list(data.classes))}
    return pa.table(columns).replace_schema_metadata(about)


def scores_of(table: pa.Table) -> dict[str, Any]:
    """Scores of an evaluation from its items: top1, top5, loss, images, and top1 by class."""
    classes: list[str] = json.loads(table.schema.metadata[b"classes"])
    label = table["label"].to_numpy()
    top1 = table["top1"].to_numpy()
    counts = np.bincount(label, minlength=len(classes))
    sums = np.bincount(label, weights=top1, minlength=len(classes))
    return {
        "images": table.num_rows,
        "top1": float(top1.mean()),
        "top5": float(table["top5"].to_numpy().mean()),
        "loss": float(table["loss"].to_numpy().mean()),
        "rule": RULE,
        "top1_by_class": {
            name: (float(sums[i] / counts[i]) if counts[i] else None)
            for i, name in enumerate(classes)
        },
    }


def read_items(path: Path) -> pa.Table:
    """The items of an evaluation. Raises UserError where the file is not that."""
    try:
        table = pq.read_table(path)
        scores_of(table)
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not the items of an evaluation ({error})") from error
    return table


def write_evaluation(
    out: Path,
    table: pa.Table,
    about: dict[str, Any],
    pictures: Callable[[Path], None] | None = None,
) -> dict[str, Any]:
    """Write `scores.json` and `items.parquet` into the folder `out`, and what `pictures` writes
    into a folder; return the scores."""
    scores = {**about, **scores_of(table)}
    with replaced_folder(out) as folder:
        write_files(folder, scores, table)
        if pictures is not None:
            pictures(folder)
    return scores
