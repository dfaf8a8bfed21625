"""Boxes follow their objects through every change of the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.boxes import Objects, no_objects
from triptych.detect.augment import UNCHANGED, augment, draws_of, resized
from triptych.detect.models import create, entry
from triptych.detect.recipes import DetectRecipe

FPN_320 = entry("frcnn-lite0-fpn").settings
PLAIN = DetectRecipe(
    name="detect/test", model="frcnn-tiny", data="streets", epochs=1, batch_size=2, lr=0.1,
    flip=False,
)  # fmt: skip


def scene(height: int = 375, width: int = 500) -> tuple[np.ndarray, Objects]:
    """Rectangles of one colour each, and their boxes."""
    image = np.zeros((height, width, 3), np.uint8)
    boxes = np.array([[40, 30, 160, 200], [300, 150, 420, 330], [200, 10, 260, 50]], np.float32)
    for label, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        image[y1:y2, x1:x2, label] = 255
    return image, Objects(boxes, np.arange(3))


def seen(image: np.ndarray, label: int) -> list[int]:
    """The box of what is mostly of one channel's colour."""
    other = np.delete(image, label, axis=2).max(axis=2)
    ys, xs = np.nonzero((image[:, :, label] > 140) & (other < 100))
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


@pytest.mark.parametrize("seed", range(12))
def test_boxes_stay_on_their_objects(seed: int) -> None:
    recipe = replace(PLAIN, flip=True, scale=(0.5, 1.6))
    image, objects = scene()
    for draws in draws_of(4, seed, 0, 0):
        made, kept = augment(image, objects, recipe, FPN_320, draws)
        assert made.shape == (240, 320, 3)
        for box, label in zip(kept.boxes, kept.labels, strict=True):
            assert np.abs(box - seen(made, int(label))).max() <= 1.01


def test_the_flip_is_a_flip_of_pixels_and_boxes() -> None:
    recipe = replace(PLAIN, flip=True)
    draws = UNCHANGED.copy()
    straight, before = augment(*scene(), recipe, FPN_320, draws)
    draws[3] = 0.0
    flipped, after = augment(*scene(), recipe, FPN_320, draws)
    assert np.array_equal(flipped, straight[:, ::-1])
    assert np.allclose(after.boxes[:, 0], 320 - before.boxes[:, 2])
    assert np.allclose(after.boxes[:, [1, 3]], before.boxes[:, [1, 3]])


def test_what_is_cut_at_its_centre_is_gone_and_the_rest_is_cut_to_the_picture() -> None:
    recipe = replace(PLAIN, scale=(2.0, 2.0))
    draws = UNCHANGED.copy()
    draws[1:3] = 0.0  # the upper left quarter: 250 x 187.5 of the picture
    _, kept = augment(*scene(), recipe, FPN_320, draws)
    assert kept.labels.tolist() == [0, 2]
    # 1.28 pixels a pixel; the first reaches below the quarter, the last over its right edge.
    expected = [[51.2, 38.4, 204.8, 240.0], [256.0, 12.8, 320.0, 64.0]]
    assert np.abs(kept.boxes - expected).max() < 1e-3


def test_a_picture_made_smaller_lies_in_grey_with_its_boxes() -> None:
    recipe = replace(PLAIN, scale=(0.5, 0.5))
    draws = UNCHANGED.copy()
    draws[1:3] = 0.99
    made, kept = augment(*scene(), recipe, FPN_320, draws)
    assert (made[:100, :150] == 127).all()
    assert len(kept) == 3
    assert kept.boxes[:, 0].min() >= 150


def test_what_is_difficult_or_a_crowd_is_not_learnt() -> None:
    image, objects = scene()
    flags = np.array([True, False, False]), np.array([False, False, True])
    marked = Objects(objects.boxes, objects.labels, *flags)
    assert augment(image, marked, PLAIN, FPN_320, UNCHANGED)[1].labels.tolist() == [1]


def test_without_objects_there_are_none() -> None:
    made, kept = augment(scene()[0], no_objects(), PLAIN, FPN_320, UNCHANGED)
    assert made.shape == (240, 320, 3)
    assert kept.boxes.shape == (0, 4)


@pytest.mark.parametrize("name", ["frcnn-lite0-fpn", "frcnn-r50-c4", "frcnn-r18-fpn", "frcnn-tiny"])
def test_the_size_is_that_to_which_the_detector_would_resize(name: str) -> None:
    settings = entry(name).settings
    with torch.device("meta"):
        transform: Any = create(name, 2).transform
    rng = np.random.default_rng(0)
    for height, width in [(375, 500), (500, 333), (64, 64), *rng.integers(40, 900, (20, 2))]:
        image, _ = transform.resize(torch.zeros(3, int(height), int(width)))
        size = resized(int(height), int(width), settings)
        assert tuple(image.shape[1:]) == size
        # Once more changes nothing but what was rounded off.
        again, _ = transform.resize(torch.zeros(3, *size))
        assert max(abs(again.shape[1] - size[0]), abs(again.shape[2] - size[1])) <= 3


def test_light_changes_pixels_and_no_box() -> None:
    recipe = replace(PLAIN, jitter=0.4, saturation=0.5)
    image, objects = scene()
    plain, kept = augment(image, objects, PLAIN, FPN_320, UNCHANGED)
    versions = [augment(image, objects, recipe, FPN_320, draws) for draws in draws_of(6, 0, 0, 0)]
    assert len({made.tobytes() for made, _ in versions} | {plain.tobytes()}) == 7
    assert all(np.array_equal(found.boxes, kept.boxes) for _, found in versions)
