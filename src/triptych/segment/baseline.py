"""The score that any model must beat: always saying the commonest class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from triptych.segment.scores import read_items


def commonest_class(items: Path) -> dict[str, Any]:
    """Class, mIoU and pixel accuracy of a model that always says the commonest true class.

    Taken from the truth in an evaluation's `items.parquet`, so it is the best of all constant
    answers on these very frames.
    """
    rows, classes = read_items(items)
    pixels = np.sum([row.confusion.sum(axis=1) for row in rows], axis=0)
    best = int(pixels.argmax())
    # Its union is every pixel; every other class that occurs has an IoU of 0.
    share = float(pixels[best] / pixels.sum())
    return {
        "class": classes[best],
        "mIoU": share / int((pixels > 0).sum()),
        "pixel_accuracy": share,
    }
