"""A detector's findings in a picture are the same whatever other pictures come with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.detect.models import create, entry
from triptych.detect.predictor import NetworkPredictor

Shape = tuple[int, int]


def predictor(**changes: Any) -> NetworkPredictor:
    torch.manual_seed(0)
    settings = replace(entry("frcnn-tiny").settings, **changes)
    return NetworkPredictor("tiny", ("a", "b", "c"), create("frcnn-tiny", 3, settings=settings))


def pictures(*shapes: Shape) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes]


def found_in(one: NetworkPredictor, images: Sequence[np.ndarray], batch: int) -> list[Any]:
    starts = range(0, len(images), batch)
    return [f for at in starts for f in one.predict(images[at : at + batch], [""] * len(images))]


@pytest.mark.parametrize("shapes", [((64, 96), (96, 64)), ((64, 96), (50, 96), (64, 96), (80, 80))])
def test_pictures_of_several_shapes_are_found_alike_in_any_batch(shapes: tuple[Shape, ...]) -> None:
    one, images = predictor(), pictures(*shapes)
    together, alone = found_in(one, images, 8), found_in(one, images, 1)
    for ours, theirs in zip(together, alone, strict=True):
        assert len(theirs) > 10
        assert ours.labels.tolist() == theirs.labels.tolist()
        np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=1e-5, atol=1e-4)
    assert one.model.training  # as it was


@pytest.mark.parametrize(
    ("changes", "shapes", "batches"),
    [
        ({}, ((64, 96), (96, 64), (64, 96)), [2, 1]),
        # Padded alone to the same shape.
        ({}, ((128, 200), (128, 210)), [2]),
        # A square that holds every picture.
        (
            {"min_size": 64, "max_size": 64, "pad_to": 64},
            ((64, 96), (96, 64), (50, 200), (64, 64)),
            [4],
        ),
    ],
)
def test_what_is_one_shape_in_the_network_is_one_batch(
    changes: dict[str, Any],
    shapes: tuple[Shape, ...],
    batches: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, seen = predictor(**changes), []
    plain = one.model.backbone.forward

    def counted(batch: torch.Tensor) -> Any:
        seen.append(len(batch))
        return plain(batch)

    monkeypatch.setattr(one.model.backbone, "forward", counted)
    assert len(one.predict(pictures(*shapes), [""] * len(shapes))) == len(shapes)
    assert seen == batches


def test_of_no_pictures_there_is_nothing() -> None:
    assert predictor().predict([], []) == []
