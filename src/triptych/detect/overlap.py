"""Intersection over union of boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Overlaps = NDArray[np.float64]


def box_iou(
    detections: NDArray[np.floating],
    objects: NDArray[np.floating],
    crowd: NDArray[np.bool_] | None = None,
    plus_one: bool = True,
) -> Overlaps:
    """IoU (M, N) of detections (M, 4) and objects (N, 4), boxes as in `triptych.data.boxes`.

    `crowd` (N,) marks objects at whose boxes the detection's own area is the union, as in COCO.
    `plus_one` says that the first and the last pixel of a box both count, as in VOC's devkit, where
    a width is xmax - xmin + 1: that is x2 - x1 here. Without, a width is xmax - xmin, as in
    programs that leave the 1 out; boxes are a pixel smaller then. 0 where there is no area.
    """
    shorter = 0.0 if plus_one else 1.0
    ours, theirs = detections.astype(np.float64)[:, None], objects.astype(np.float64)[None]
    low = np.maximum(ours[..., :2], theirs[..., :2])
    high = np.minimum(ours[..., 2:], theirs[..., 2:])
    both = (high - low - shorter).clip(min=0).prod(axis=-1)
    first, second = (
        (boxes[..., 2:] - boxes[..., :2] - shorter).clip(min=0).prod(axis=-1)
        for boxes in (ours, theirs)
    )
    union = first + second - both
    if crowd is not None:
        union = np.where(crowd[None], first, union)
    found: Overlaps = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return found
