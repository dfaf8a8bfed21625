"""What a training picture costs, counted by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.boxes import Objects, no_objects
from triptych.detect.cost import SHAPES, median_shape, picture_macs
from triptych.detect.models import create, entry
from triptych.detect.models.detector import Detector
from triptych.training.cost import macs_of

CLASSES = 3


@pytest.fixture(scope="module")
def model() -> Detector:
    torch.manual_seed(0)
    return create("frcnn-tiny", CLASSES)


class Shapes:
    """Black pictures of these heights and widths."""

    name, split, classes, groups = "shapes", "train", ("a",), None

    def __init__(self, *shapes: tuple[int, int]) -> None:
        self.shapes = shapes
        self.keys: Sequence[str] = [str(number) for number in range(len(shapes))]
        self.loaded = 0

    def __len__(self) -> int:
        return len(self.shapes)

    def load(self, index: int) -> tuple[Any, Objects]:
        self.loaded += 1
        return np.zeros((*self.shapes[index], 3), np.uint8), no_objects()

    def objects(self, index: int) -> Objects:
        return no_objects()

    def fingerprint(self) -> str:
        return ""


def head(model: Detector) -> int:
    """Of all RoIs that enter the loss of a picture."""
    settings = model.settings
    width = settings.head_channels
    layers = settings.fpn_channels * settings.pool**2 * width + width * width
    return settings.box_samples * (layers + width * (CLASSES + 1) * 5)


def test_it_is_what_the_network_computes_for_what_enters_it(model: Detector) -> None:
    found = picture_macs(model, 100, 200)
    assert model.training
    model.eval()

    def by_hand() -> None:
        model.rpn.head(list(model.backbone(torch.zeros(1, 3, 128, 256)).values()))

    assert found == macs_of(by_hand) + head(model)
    model.train()


def test_it_follows_the_picture_s_shape_and_not_the_largest_square(model: Detector) -> None:
    wide, square = (picture_macs(model, 100, width) - head(model) for width in (200, 100))
    assert wide == pytest.approx(2 * square, rel=0.01)
    assert picture_macs(model, 200, 400) == picture_macs(model, 100, 200)


def test_of_more_rois_it_is_more(model: Detector) -> None:
    settings = entry("frcnn-tiny").settings
    doubled = create("frcnn-tiny", CLASSES, settings=replace(settings, box_samples=128))
    assert picture_macs(doubled, 64, 64) - picture_macs(model, 64, 64) == head(model)


def test_a_stage_of_the_backbone_as_head_counts_too() -> None:
    known = entry("frcnn-r50-c4")
    small = replace(known.settings, min_size=64, max_size=64, pad_to=64, box_samples=2)
    with torch.device("meta"):
        model = create("frcnn-r50-c4", CLASSES, settings=small)
        found = picture_macs(model, 64, 64)
        model.settings = replace(small, box_samples=1)
        one = found - picture_macs(model, 64, 64)
        assert one == picture_macs_of_one_roi(model) > 5e8


def picture_macs_of_one_roi(model: Detector) -> int:
    roi = torch.zeros(1, 1024, 14, 14, device="meta")
    return macs_of(lambda: model.roi_heads.box_predictor(model.roi_heads.box_head(roi)))


def test_the_median_shape_is_a_picture_s_own() -> None:
    assert median_shape(Shapes((50, 100), (60, 60), (90, 30))) == (60, 60)
    assert median_shape(Shapes((50, 100), (60, 60), (90, 30), (40, 30))) == (40, 30)
    assert median_shape(Shapes((7, 9))) == (7, 9)
    many = Shapes(*[(64, 48)] * 200, *[(48, 64)] * 300)
    assert median_shape(many) == (48, 64)
    assert many.loaded == SHAPES
