"""A small detector and pictures for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from triptych.detect.models import create, entry
from triptych.detect.models.detector import Detector, Target
from triptych.detect.models.settings import DetectorSettings

SMALL = replace(entry("frcnn-lite0-fpn").settings, min_size=64, max_size=96, pad_to=32)


@pytest.fixture(scope="session")
def small_settings() -> DetectorSettings:
    return SMALL


@pytest.fixture(scope="session")
def _drawn() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return create("frcnn-lite0-fpn", 3, settings=SMALL).state_dict()


@pytest.fixture
def small(_drawn: dict[str, Tensor]) -> Detector:
    """EfficientNet-Lite0 with a pyramid for 3 classes, pictures resized to 64 to 96 pixels."""
    with torch.device("meta"):
        model = create("frcnn-lite0-fpn", 3, settings=SMALL)
    model.to_empty(device="cpu")
    model.load_state_dict(_drawn)
    return model


@pytest.fixture
def images() -> list[Tensor]:
    """Two pictures of different sizes."""
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, *size, generator=generator) for size in ((64, 96), (80, 60))]


@pytest.fixture
def targets() -> list[Target]:
    """Objects in the two."""
    boxes = [[[10, 10, 60, 50], [50, 20, 90, 60]], [[5, 5, 40, 70]]]
    return [
        {"boxes": torch.tensor(each).float(), "labels": torch.full((len(each),), 2)}
        for each in boxes
    ]
