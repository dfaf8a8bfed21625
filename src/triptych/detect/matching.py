"""Which detections are right: those of a class matched with its objects, image by image.

Images do not touch each other here, so what comes out serves for any choice of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from triptych.data.boxes import Objects
from triptych.detect.detections import Detections
from triptych.detect.overlap import Overlaps, box_iou

TRUE, FALSE, IGNORED = 1, 0, -1
"""What a detection is: right, wrong, or on an object that does not count."""


@dataclass(frozen=True, eq=False)
class Matches:
    """The detections of all images in one array, by class, then by falling score, then by image and
    place in it."""

    image: NDArray[np.int64]
    """Which image a detection is in, (D,)."""
    place: NDArray[np.int64]
    """Its place in that image's detections, (D,)."""
    label: NDArray[np.int64]
    score: NDArray[np.float64]
    state: NDArray[np.int8]
    """(D,), or (T, D) for T thresholds of IoU: TRUE, FALSE or IGNORED."""
    target: NDArray[np.int64]
    """Which of its image's objects a detection was held against, of the same shape; -1 for none."""
    iou: NDArray[np.float64]
    """With the best object of its class in its image, (D,); 0 where there is none."""
    positives: NDArray[np.int64]
    """Objects that count, by image and class, (images, classes)."""

    def at(self, level: int) -> Matches:
        """Those of one of T thresholds."""
        return replace(self, state=self.state[level], target=self.target[level])


def match_voc(
    detections: Sequence[Detections],
    objects: Sequence[Objects],
    classes: int,
    threshold: float = 0.5,
    plus_one: bool = True,
) -> Matches:
    """As VOC's devkit does it (Everingham 2010, section 4.2; `VOCevaldet.m`).

    A detection is held against the object of its class in its image with the highest IoU, the first
    of equals. From `threshold` on it is right if nothing with a higher score was held against the
    same object before, else wrong; where that object is difficult (or a crowd) it is ignored.
    Anything below the threshold is wrong.
    """
    found = _gathered(detections, objects, classes)
    ignored = np.zeros(len(found.label), np.bool_)
    for image, mine in _by_image(found.image, len(objects)):
        truth = objects[image]
        if not len(truth) or not len(mine):
            continue
        boxes = detections[image].boxes[found.place[mine]]
        overlaps = box_iou(boxes, truth.boxes, plus_one=plus_one)
        overlaps[found.label[mine][:, None] != truth.labels[None]] = -1
        best = overlaps.argmax(axis=1)
        found.iou[mine] = overlaps[np.arange(len(mine)), best].clip(min=0)
        near = overlaps[np.arange(len(mine)), best] >= threshold
        found.target[mine] = np.where(near, best, -1)
        ignored[mine] = near & truth.ignored[best]
    held = np.flatnonzero((found.target >= 0) & ~ignored)
    # They lie in the order of their scores, so the first at an object is the one that found it.
    most = max((len(each) for each in objects), default=0)
    _, first = np.unique(found.image[held] * most + found.target[held], return_index=True)
    found.state[held[first]] = TRUE
    found.state[ignored] = IGNORED
    return found


def match_coco(
    detections: Sequence[Detections],
    objects: Sequence[Objects],
    classes: int,
    thresholds: NDArray[np.float64],
) -> Matches:
    """As COCO does it (`COCOeval.evaluateImg` with all areas), at T thresholds at once.

    In the order of their scores, detections take the free object with the highest IoU, the last of
    equals; one that finds none free may lie on a crowd (or difficult object), and is ignored.
    """
    found = _gathered(detections, objects, classes, len(thresholds))
    for image, mine in _by_image(found.image, len(objects)):
        truth = objects[image]
        if not len(truth):
            continue
        boxes = detections[image].boxes[found.place[mine]]
        overlaps = box_iou(boxes, truth.boxes, truth.ignored)
        # `mine` is by class, and by score within it.
        for label in np.unique(truth.labels):
            these = np.flatnonzero(found.label[mine] == label)
            there = np.flatnonzero(truth.labels == label)
            if not len(these):
                continue
            part = overlaps[np.ix_(these, there)]
            target, state = _greedy(part, truth.ignored[there], thresholds)
            found.iou[mine[these]] = part.max(axis=1)
            found.state[:, mine[these]] = state
            found.target[:, mine[these]] = np.where(target >= 0, there[target], -1)
    return found


def _greedy(
    overlaps: Overlaps, ignored: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Target and state (T, M) of M detections by falling score among N objects."""
    levels, last = len(thresholds), overlaps.shape[1] - 1
    least = np.minimum(thresholds, 1 - 1e-10)
    taken = np.zeros((levels, overlaps.shape[1]), np.bool_)
    target = np.full((levels, len(overlaps)), -1, np.int64)
    state = np.zeros((levels, len(overlaps)), np.int8)
    every = np.arange(levels)
    for number, row in enumerate(overlaps):
        if row.max() < least.min():
            continue
        for kind, result in ((~ignored, TRUE), (ignored, IGNORED)):
            free = np.where(kind & ~(taken & ~ignored), row, -1.0)
            # Of equals the last one, as in the original.
            best = last - free[:, ::-1].argmax(axis=1)
            hit = (free[every, best] >= least) & (target[:, number] < 0)
            target[hit, number], state[hit, number] = best[hit], result
            taken[every[hit], best[hit]] = True
    return target, state


def _gathered(
    detections: Sequence[Detections], objects: Sequence[Objects], classes: int, levels: int = 0
) -> Matches:
    """All detections in order, none of them right yet."""
    if len(detections) != len(objects):
        raise ValueError(f"detections of {len(detections)} images, objects of {len(objects)}")
    counts = [len(each) for each in detections]
    image = np.repeat(np.arange(len(counts)), counts)
    place = np.concatenate([np.arange(count) for count in counts] or [np.zeros(0, np.int64)])
    label = np.concatenate([each.labels for each in detections] or [np.zeros(0, np.int64)])
    score = np.concatenate([each.scores for each in detections] or [np.zeros(0)])
    order = np.lexsort((-score, label))
    positives = np.zeros((len(objects), classes), np.int64)
    for number, truth in enumerate(objects):
        positives[number] = np.bincount(truth.labels[~truth.ignored], minlength=classes)
    shape = (levels, len(order)) if levels else (len(order),)
    return Matches(
        image[order], place[order], label[order], score[order],
        np.full(shape, FALSE, np.int8), np.full(shape, -1, np.int64), np.zeros(len(order)),
        positives,
    )  # fmt: skip


def _by_image(image: NDArray[np.int64], count: int) -> list[tuple[int, NDArray[np.int64]]]:
    """The positions of every image's detections, each in their order."""
    order = np.argsort(image, kind="stable")
    bounds = np.searchsorted(image[order], np.arange(count + 1))
    return [(number, order[bounds[number] : bounds[number + 1]]) for number in range(count)]
