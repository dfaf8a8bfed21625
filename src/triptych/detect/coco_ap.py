"""COCO's average precision (Lin 2014), by faster-coco-eval."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.boxes import Objects
from triptych.detect.detections import Detections

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Of IoU, over which `AP` is the mean."""
AREAS = ("all", "small", "medium", "large")
"""Objects below 32 x 32 pixels are small, from 96 x 96 on large."""


def coco_ap(
    detections: Sequence[Detections],
    objects: Sequence[Objects],
    classes: Sequence[str],
    max_detections: int,
) -> dict[str, Any]:
    """`AP` (mean over IoU 0.50 to 0.95), `AP50`, `AP75`, `AP_small`, `AP_medium`, `AP_large`, and
    `AP_by_class`; null where there is no object.

    Crowds count as in COCO, difficult objects as crowds: what lies on them is neither right nor
    wrong. An object's size is that of its box (COCO's own tables take the outline's area).
    """
    from faster_coco_eval import COCO, COCOeval_faster

    truth = COCO(_truth(objects, classes))
    found = COCO(_found(detections, len(objects), classes))
    run = COCOeval_faster(truth, found, "bbox", print_function=logging.getLogger("coco").debug)
    run.params.maxDets = [max_detections]
    run.evaluate()
    run.accumulate()
    # (T, recall, class, area, limit); -1 where no object is.
    precision = np.asarray(run.eval["precision"])[..., 0]
    scores = {
        "AP": _mean(precision[..., 0]),
        "AP50": _mean(precision[0, ..., 0]),
        "AP75": _mean(precision[5, ..., 0]),
    }
    for number, area in enumerate(AREAS[1:], 1):
        scores[f"AP_{area}"] = _mean(precision[..., number])
    by_class = {name: _mean(precision[:, :, i, 0]) for i, name in enumerate(classes)}
    return {**scores, "AP_by_class": by_class}


def _mean(precision: NDArray[np.float64]) -> float | None:
    present = precision[precision > -1]
    return float(present.mean()) if present.size else None


def _truth(objects: Sequence[Objects], classes: Sequence[str]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, each in enumerate(objects):
        for box, label, ignored in zip(
            _corners(each.boxes), each.labels, each.ignored, strict=True
        ):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": int(ignored),
                }
            )
    return _set(len(objects), classes, annotations)


def _found(detections: Sequence[Detections], images: int, classes: Sequence[str]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, each in enumerate(detections):
        rows = zip(_corners(each.boxes), each.labels, each.scores, strict=True)
        for box, label, score in rows:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": int(label),
                    "bbox": box,
                    "area": box[2] * box[3],
                    "score": float(score),
                    "iscrowd": 0,
                }
            )
    return _set(images, classes, annotations)


def _set(images: int, classes: Sequence[str], annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "images": [{"id": number} for number in range(images)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes)],
        "annotations": annotations,
    }


def _corners(boxes: NDArray[np.float32]) -> list[list[float]]:
    """Boxes as x, y, width, height; none is negative, or COCO would not count the detection."""
    wide = boxes.astype(np.float64)
    wide[:, 2:] = (wide[:, 2:] - wide[:, :2]).clip(min=0)
    rows: list[list[float]] = wide.tolist()
    return rows
