"""Random pictures with objects and detections that a detector might give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from triptych.data.boxes import Objects, no_objects
from triptych.detect.detections import Detections, no_detections
from triptych.detect.items import DetectionItems, Rules

Case = Callable[..., DetectionItems]


def _objects(rng: np.random.Generator, classes: int, difficult: float, crowd: float) -> Objects:
    count = int(rng.integers(0, 7))
    if not count:
        return no_objects()
    low = rng.integers(0, 120, (count, 2))
    boxes = np.concatenate([low, low + rng.integers(4, 100, (count, 2))], axis=1)
    labels = rng.integers(0, classes, count)
    flags = rng.random((2, count)) < [[difficult], [crowd]]
    # The last class is never anything but difficult.
    flags[0] |= labels == classes - 1
    return Objects(boxes.astype(np.float32), labels, flags[0], flags[1] & ~flags[0])


def _detections(rng: np.random.Generator, truth: Objects, classes: int, ties: bool) -> Detections:
    count = int(rng.integers(0, 16))
    if not count:
        return no_detections()
    low = rng.integers(0, 120, (count, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 100, (count, 2))], axis=1).astype(np.float32)
    labels = rng.integers(0, classes, count)
    if len(truth):
        near = rng.random(count) < 0.7
        which = rng.integers(0, len(truth), count)
        boxes[near] = (truth.boxes[which] + rng.integers(-9, 10, (count, 4)))[near]
        labels[near] = truth.labels[which][near]
    # Some are exactly an object, some have no area.
    boxes[:1] = truth.boxes[:1] if len(truth) else boxes[:1]
    boxes[-1, 2:] = boxes[-1, :2]
    scores = rng.integers(0, 6, count) / 8 if ties else rng.random(count)
    return Detections(boxes, scores, labels)


@pytest.fixture
def case() -> Case:
    """(seed, images, classes, …) → items of a random evaluation."""

    def make(
        seed: int, images: int = 12, classes: int = 5, ties: bool = True,
        difficult: float = 0.2, crowd: float = 0.0, rules: Rules | None = None,
    ) -> DetectionItems:  # fmt: skip
        rng = np.random.default_rng(seed)
        rules = rules or Rules()
        objects = [_objects(rng, classes, difficult, crowd) for _ in range(images)]
        found = [_detections(rng, truth, classes, ties) for truth in objects]
        return DetectionItems(
            tuple(f"{number:06d}" for number in range(images)),
            None,
            tuple("abcdefghijklmnopqrstuvwxyz"[:classes]),
            tuple(objects),
            tuple(each.limited(rules.score_floor, rules.max_detections) for each in found),
            rules,
        )

    return make
