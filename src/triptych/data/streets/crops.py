"""Labelled crops of the street's objects, for learning to classify small pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count as count_from

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image
from triptych.data.streets.faces import LABEL
from triptych.data.streets.scene import OBJECTS, StreetFrame, scene

_FRAME = (288, 576)
_TIMES = (0, 20, 40)
_FIRST_SEED = 1 << 40
"""Scenes of crops are none of those in the splits of `Streets`."""
_SEEDS = 1 << 20
_SHORT, _LONG = 10, 20
"""Least pixels of an object's shorter and longer side."""
_COVER = 0.25
"""Least part of its box that an object fills, so that it is not hidden behind others."""
_MARGIN = 1.3
"""Side of a crop, in longer sides of the object's box."""


def object_crops(
    count: int, seed: int, size: int = 32
) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Crops of objects (N, size, size, 3), their labels (N,) and the classes' names by label.

    N is `count`. Every class has the same number of crops, give or take one, in random order; no
    two show the same object. Crops of different seeds come from different scenes, by day and night.
    """
    names = OBJECTS
    rng = np.random.default_rng([seed, count])
    wanted = np.full(len(names), count // len(names))
    wanted[rng.permutation(len(names))[: count % len(names)]] += 1
    crops, labels = [], []
    for number in count_from(_FIRST_SEED + seed * _SEEDS):
        if not wanted.any():
            break
        drive, seen = scene(number, size=_FRAME), set[int]()
        if not drive.plan.tram and not np.delete(wanted, names.index("train")).any():
            continue
        for time in _TIMES:
            for label, owner, crop in _crops(drive[time], seen, wanted, size):
                seen.add(owner)
                wanted[label] -= 1
                labels.append(label)
                crops.append(crop)
    order = rng.permutation(count)
    pictures = np.array(crops, np.uint8).reshape(count, size, size, 3)
    return pictures[order], np.array(labels, np.int64)[order], names


def _crops(
    frame: StreetFrame, seen: set[int], wanted: NDArray[np.int64], size: int
) -> Iterator[tuple[int, int, Image]]:
    """Label, instance and crop of every object of a frame that is clear, new and wanted."""
    owners, pixels = np.unique(frame.instances[frame.instances > 0], return_counts=True)
    for owner, area, box, train_id in zip(
        owners.tolist(), pixels.tolist(), frame.boxes, frame.classes, strict=True
    ):
        x0, y0, x1, y1 = box.tolist()
        wide, high = x1 - x0, y1 - y0
        label = _LABELS[int(train_id)]
        large = min(wide, high) >= _SHORT and max(wide, high) >= _LONG
        if owner in seen or not wanted[label] or not large or area < _COVER * wide * high:
            continue
        side = round(_MARGIN * max(wide, high))
        left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
        # Beyond the picture its border pixels go on.
        rows = np.clip(np.arange(top, top + side), 0, frame.image.shape[0] - 1)
        columns = np.clip(np.arange(left, left + side), 0, frame.image.shape[1] - 1)
        cut = frame.image[rows[:, None], columns]
        yield label, owner, cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)


_LABELS = {LABEL[name]: label for label, name in enumerate(OBJECTS)}
