"""COCO's AP: our matching, which can be resampled, against faster-coco-eval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from triptych.data.boxes import Objects
from triptych.detect.coco_ap import coco_ap
from triptych.detect.detections import Detections
from triptych.detect.items import DetectionItems, Rules
from triptych.detect.scores import study_items

Case = Callable[..., DetectionItems]


def by_library(items: DetectionItems) -> dict:
    return coco_ap(items.detections, items.objects, items.classes, items.rules.max_detections)


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_two_programs_agree(case: Case, seed: int, ties: bool) -> None:
    items = case(seed, images=5 + 3 * seed, ties=ties, crowd=0.1)
    assert study_items(items, "AP").score() == pytest.approx(by_library(items)["AP"], abs=1e-12)


def test_they_agree_on_resamples_too(case: Case) -> None:
    items = case(3, images=10, ties=False, crowd=0.1)
    scored = study_items(items, "AP")
    for seed in range(5):
        drawn = np.sort(np.random.default_rng(seed).integers(0, 10, 10))
        copied = replace(
            items,
            objects=tuple(items.objects[i] for i in drawn),
            detections=tuple(items.detections[i] for i in drawn),
        )
        weights = np.bincount(drawn, minlength=10).astype(np.float64)
        assert scored.score(weights) == pytest.approx(by_library(copied)["AP"], abs=1e-12)


def test_sizes_and_thresholds() -> None:
    sides = np.array([20.0, 50.0, 200.0])
    boxes = np.stack([np.zeros(3), np.zeros(3), sides, sides], axis=1).astype(np.float32)
    truth = Objects(boxes, np.zeros(3, np.int64))
    # The middle one is 0.7 of its object, the large one is exact, the small one is not found.
    hits = boxes[1:].copy()
    hits[0, 3] *= 0.7
    found = Detections(hits, np.array([0.9, 0.8]), np.zeros(2, np.int64))
    scores = coco_ap([found], [truth], ["a", "b"], 100)
    assert scores["AP_small"] == 0
    assert scores["AP_medium"] == pytest.approx(0.5)  # 0.50 to 0.70 of ten thresholds
    assert scores["AP_large"] == 1
    assert scores["AP50"] == pytest.approx(67 / 101)
    assert scores["AP75"] == pytest.approx(34 / 101 / 2)
    assert scores["AP_by_class"]["b"] is None


def test_nothing_to_score(case: Case) -> None:
    items = case(0, images=0, rules=Rules())
    assert by_library(items)["AP"] is None
