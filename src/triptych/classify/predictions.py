"""Arms from outside: another program's class scores for every image, as a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.classify.evaluate import items_table, write_evaluation
from triptych.data.labelled_images import LabelledImages
from triptych.data.open_images import open_images
from triptych.errors import UserError
from triptych.study import Items, Predictions

MEASURED = ("top1", "top5", "loss")
LEAST = 1e-45
"""What a probability of 0 counts as: about the smallest that float32 can hold, so that ranks below
the first survive, however sure a model is."""


def predict_items(arm: Predictions, data: str, split: str, metric: str, folder: Path) -> Items:
    """Score a CSV file of class scores on one split; the evaluation is kept in `folder`."""
    if metric not in MEASURED:
        raise UserError(f"--metric {metric}: predictions have {', '.join(MEASURED)}")
    images = open_images(data, split)
    scores = read_scores(Path(arm.source), images)
    about = {
        "model": arm.source,
        "data": images.name,
        "split": split,
        "fingerprint": images.fingerprint(),
    }
    table = items_table(torch.from_numpy(scores), images)
    write_evaluation(folder, table, about)
    return Items(images.keys, None, table[metric].to_numpy())


def read_scores(file: Path, images: LabelledImages) -> NDArray[np.float32]:
    """Logits or probabilities (N, classes) in the data's order of images and classes.

    The first column, `key`, names the image; the others are named by the classes, in any order.
    Probabilities (rows that sum to 1, none negative) become logarithms, so that the loss is
    theirs. Raises UserError naming the file and the line for anything else.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.reader(stream))
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{file} is not a CSV file in UTF-8 ({error})") from None
    if not rows or rows[0][:1] != ["key"]:
        raise UserError(f"{file}: its first line must be `key` and the names of the classes")
    columns = {name: index for index, name in enumerate(rows[0])}
    missing = [name for name in images.classes if name not in columns]
    if missing or len(rows[0]) != len(images.classes) + 1:
        what = f"lacks the class {missing[0]}" if missing else "has columns that are no class"
        raise UserError(f"{file} {what}; {images.name} has {len(images.classes)} classes")
    order = [columns[name] for name in images.classes]
    found: dict[str, list[float]] = {}
    for number, row in enumerate(rows[1:], start=2):
        try:
            key, *_ = row if len(row) == len(rows[0]) else []
            found[key] = [float(row[index]) for index in order]
        except ValueError:
            raise UserError(
                f"{file}, line {number}: must be a key and {len(order)} numbers"
            ) from None
        if not np.isfinite(found[key]).all():
            raise UserError(f"{file}, line {number}: a score is not finite")
    if len(found) < len(rows) - 1:
        raise UserError(f"{file} has an image twice")
    lost = [key for key in images.keys if key not in found]
    if lost:
        raise UserError(f"{file} has no scores for {lost[0]} ({len(lost)} images in all)")
    scores = np.array([found[key] for key in images.keys], np.float64)
    if (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        scores = np.log(np.maximum(scores, LEAST))
    return scores.astype(np.float32)
