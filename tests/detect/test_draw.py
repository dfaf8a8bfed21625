"""Boxes on pictures."""

from __future__ import annotations

import numpy as np

from triptych.data.boxes import Objects
from triptych.detect.detections import Detections
from triptych.detect.draw import class_colour, draw_boxes

GREY = np.full((240, 320, 3), 90, np.uint8)
BOX = np.array([[100, 60, 220, 180]], np.float32)


def count(image: np.ndarray, colour: tuple[int, int, int], where: slice) -> int:
    return int((image[where, 110:210] == colour).all(axis=-1).sum())


def test_found_is_solid_and_truth_dashed() -> None:
    label = np.array([1])
    solid = draw_boxes(GREY, ("a", "b"), Detections(BOX, np.array([0.9]), label))
    dashed = draw_boxes(GREY, ("a", "b"), objects=Objects(BOX, label))
    edge = slice(178, 180)
    assert count(solid, class_colour(1), edge) == 200
    assert 80 <= count(dashed, class_colour(1), edge) <= 120
    # Its name stands above the box, on the class's colour.
    for image in (solid, dashed):
        assert (image[50, 100:104] == class_colour(1)).all(axis=-1).any()
    assert (GREY == 90).all()


def test_the_unsure_are_not_drawn() -> None:
    unsure = Detections(BOX, np.array([0.4]), np.array([0]))
    np.testing.assert_array_equal(draw_boxes(GREY, ("a",), unsure), GREY)
    assert (draw_boxes(GREY, ("a",), unsure, score=0.3) != GREY).any()


def test_boxes_anywhere_and_of_any_size() -> None:
    boxes = np.array([[-50, -50, 400, 300], [5, 5, 5, 5], [319, 239, 320, 240]], np.float32)
    found = Detections(boxes, np.ones(3), np.zeros(3, np.int64))
    drawn = draw_boxes(GREY, ("a very long name of a class that is wider than the picture",), found)
    assert drawn.shape == GREY.shape


def test_colours_of_classes_differ() -> None:
    colours = [class_colour(label) for label in range(80)]
    assert len(set(colours)) == 80
