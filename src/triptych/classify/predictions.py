"""Arms from outside: another program's class scores for every image, as a CSV file."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
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
SLACK = 1e-3
"""By how much the sum of probabilities may miss 1 whatever their decimals: float16 does."""
MOST_SLACK = 0.5
"""Of probabilities that miss 1 by more, rounding has taken too much to tell what they were."""


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
    Probabilities become logarithms, so that the loss is theirs; `_as_logits` says how they are
    told apart. Raises UserError naming the file and the line or the image for anything else.
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
    if not _within(scores):
        return scores.astype(np.float32)
    written = (row[index] for row in rows[1:] for index in order)
    return _as_logits(scores, _slack(written, len(order)), file, images.keys).astype(np.float32)


def _within(scores: NDArray[np.float64]) -> bool:
    """Whether all may be probabilities, give or take what float32 rounds away."""
    return bool(scores.min() >= -1e-6 and scores.max() <= 1 + 1e-6)


def _as_logits(
    scores: NDArray[np.float64], slack: float, file: Path, keys: Sequence[str]
) -> NDArray[np.float64]:
    """Scores from 0 to 1 as logits: the logarithms of probabilities, or as they are.

    They are probabilities where every row sums to 1 within `slack`, and each row is then divided by
    its sum. They are logits where every row sums to more than probabilities ever do. Between the
    two lies what would be scored wrongly either way; it is refused.
    """
    sums = scores.sum(axis=1)
    off = np.abs(sums - 1) > slack
    if not off.any():
        return np.asarray(np.log(np.maximum(scores / sums[:, None], LEAST)))
    if (sums > 1 + MOST_SLACK).all():
        return scores
    first = int(off.argmax())
    raise UserError(
        f"{file}: the scores of {keys[first]} sum to {sums[first]:.6g}, so they are neither "
        f"probabilities (1, give or take {slack:.2g}) nor plainly logits (some below 0 or above "
        "1); write probabilities with more decimals, or logits"
    )


def _slack(written: Iterable[str], classes: int) -> float:
    """By how much rounding may move the sum of a row's probabilities: half a unit of the last
    decimal that the file has, for each class."""
    enough, most = SLACK / (0.5 * classes), 0
    for text in written:
        # "1.23e-05" was rounded to three digits like "0.123", not to seven decimals.
        most = max(most, len(text.strip().lower().partition("e")[0].partition(".")[2]))
        if 10.0**-most <= enough:
            return SLACK
    return min(MOST_SLACK, classes * 0.5 * 10.0**-most)
