"""Segmentation scores: confusion matrix, IoU, pixel accuracy, boundary F.

Label maps are (H, W) of class ids with 255 for void. Pixels that are void in the truth are left
out of everything. A model may answer void where the truth is not: such a pixel is a miss of the
true class and a false positive of none.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import VOID
from triptych.data.labelled import LabelMap

Counts = NDArray[np.int64]
"""Confusion counts (classes, classes + 1): rows are the truth, columns the prediction, and the
last column is pixels predicted as void."""

BF_RULE = (
    "Csurka 2013, per image and class: boundary pixels have a 4-neighbour of another class, void "
    "and its borders left out (pixels void in the truth are void in the prediction too); matched "
    "within 0.75 % of the image diagonal (Euclidean); F1 of precision and recall; mean over the "
    "images whose truth has the class, then over classes"
)
IOU_RULE = (
    "one confusion matrix over all frames; pixels void in the truth left out, predicted void is "
    "a miss; a class with an empty union is null and left out of the mean"
)

TOLERANCE = (3, 400)
"""0.75 % of the image diagonal as a fraction, so that ties are decided in whole numbers."""


def confusion_matrix(truth: LabelMap, predicted: LabelMap, classes: int) -> Counts:
    """Confusion counts of one label map, shape (classes, classes + 1), see `Counts`.

    Both maps have the same shape and ids below `classes` or 255; ValueError where they do not.
    """
    if truth.shape != predicted.shape:
        raise ValueError(f"truth is {truth.shape}, prediction {predicted.shape}")
    valid = truth != VOID
    rows = truth[valid].astype(np.int64)
    columns = predicted[valid].astype(np.int64)
    if (rows >= classes).any() or ((columns >= classes) & (columns != VOID)).any():
        raise ValueError(f"a label is neither below {classes} nor {VOID}")
    columns[columns == VOID] = classes
    flat = np.bincount(rows * (classes + 1) + columns, minlength=classes * (classes + 1))
    return flat.reshape(classes, classes + 1)


def iou(counts: Counts) -> list[float | None]:
    """Intersection over union of every class; None where the union is empty."""
    hits = np.diagonal(counts)
    unions = counts.sum(axis=1) + counts[:, :-1].sum(axis=0) - hits
    return [int(h) / int(u) if u else None for h, u in zip(hits, unions, strict=True)]


def pixel_accuracy(counts: Counts) -> float | None:
    """Share of the pixels that are not void and have the right label; None without any."""
    total = int(counts.sum())
    return int(np.trace(counts)) / total if total else None


def mean(values: list[float | None]) -> float | None:
    """Mean of the values that are there; None without any."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def boundary(labels: LabelMap) -> NDArray[np.bool_]:
    """Boundary pixels (H, W), each of its own class: those with a 4-neighbour of another class.

    A neighbour that is void, or outside the picture, makes no boundary; void has none.
    """
    valid = labels != VOID
    found = np.zeros(labels.shape, np.bool_)
    down = (labels[1:] != labels[:-1]) & valid[1:] & valid[:-1]
    across = (labels[:, 1:] != labels[:, :-1]) & valid[:, 1:] & valid[:, :-1]
    found[1:] |= down
    found[:-1] |= down
    found[:, 1:] |= across
    found[:, :-1] |= across
    return found


def boundary_f(truth: LabelMap, predicted: LabelMap, classes: int) -> list[float | None]:
    """Boundary F of every class in one image; None where the truth does not have the class.

    Csurka, Larlus, Perronnin (2013), "What is a good evaluation measure for semantic
    segmentation?", section 3. Precision is the share of the predicted boundary pixels that lie
    within 0.75 % of the image diagonal of a true one, recall the share of the true ones near a
    predicted one, F their harmonic mean. Where the truth has the class and only one of the two
    has a boundary, F is 0; where neither has one (the class fills the picture, or touches
    nothing but void), F is 1 if the prediction has the class, else 0.
    """
    predicted = np.where(truth == VOID, np.uint8(VOID), predicted)
    height, width = truth.shape
    edges, predicted_edges = boundary(truth), boundary(predicted)
    scores: list[float | None] = []
    in_truth = np.bincount(truth.ravel(), minlength=256)
    in_predicted = np.bincount(predicted.ravel(), minlength=256)
    for label in range(classes):
        if not in_truth[label]:
            scores.append(None)
        elif not in_predicted[label]:
            scores.append(0.0)
        else:
            ours = np.argwhere(predicted_edges & (predicted == label))
            theirs = np.argwhere(edges & (truth == label))
            if not len(ours) and not len(theirs):
                scores.append(1.0)
                continue
            precision = _share_near(ours, theirs, height**2 + width**2)
            recall = _share_near(theirs, ours, height**2 + width**2)
            total = precision + recall
            scores.append(2 * precision * recall / total if total else 0.0)
    return scores


def _share_near(
    points: NDArray[np.intp], targets: NDArray[np.intp], diagonal_squared: int
) -> float:
    """Share of `points` (N, 2) within the tolerance of one of `targets`; 0 where one is empty."""
    if not len(points) or not len(targets):
        return 0.0
    corner = np.minimum(points.min(axis=0), targets.min(axis=0))
    box = np.maximum(points.max(axis=0), targets.max(axis=0)) - corner + 1
    far = np.ones(tuple(box), np.uint8)
    far[tuple((targets - corner).T)] = 0
    # The transform gives the distance to the nearest zero. It is exact up to float32 rounding,
    # far less than the step between the squares of pixel distances.
    distance = cv2.distanceTransform(far, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    at_points = distance[tuple((points - corner).T)].astype(np.float64)
    squared = np.rint(np.square(at_points)).astype(np.int64)
    numerator, denominator = TOLERANCE
    near = squared * denominator**2 <= numerator**2 * diagonal_squared
    return float(near.mean())
