"""Homographies against OpenCV and scipy, and what their coordinates mean."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from scipy.linalg import logm
from torch import Tensor

from triptych.segment.inverse.homography import (
    COORDINATES,
    euclidean,
    geodesic,
    homographies,
    matrices,
    warp,
)


def some(count: int = 6, size: float = 0.2) -> Tensor:
    drawn = torch.rand(count, 8, generator=torch.Generator().manual_seed(0))
    return (2 * drawn - 1) * size


def one(**values: float) -> Tensor:
    return torch.tensor([[values.get(name, 0.0) for name in COORDINATES]])


def test_matrices_are_the_logarithms_of_the_homographies() -> None:
    coordinates = some().double()
    for matrix, homography in zip(
        matrices(coordinates).numpy(), homographies(coordinates).numpy(), strict=True
    ):
        np.testing.assert_allclose(logm(homography), matrix, atol=1e-12)
        assert np.trace(matrix) == pytest.approx(0, abs=1e-15)
        assert np.linalg.det(homography) == pytest.approx(1)


def test_the_opposite_coordinates_are_the_inverse_homography() -> None:
    coordinates = some().double()
    product = homographies(coordinates) @ homographies(-coordinates)
    torch.testing.assert_close(product, torch.eye(3).double().expand(6, 3, 3))


def test_coordinates_near_identity_are_the_difference_from_identity() -> None:
    coordinates = some(size=1e-4).double()
    difference = homographies(coordinates) - torch.eye(3)
    torch.testing.assert_close(difference, matrices(coordinates), rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("values", "moved"),
    [
        ({"shift_x": 0.2}, (0.7, 0.25)),
        ({"shift_y": 0.2}, (0.5, 0.45)),
        ({"scale": math.log(1.2)}, (0.6, 0.3)),
        ({"rotation": math.pi / 2}, (-0.25, 0.5)),
        ({"stretch": math.log(2)}, (1.0, 0.125)),
        ({"perspective_x": 0.1}, (0.5 / 1.05, 0.25 / 1.05)),
    ],
)
def test_what_a_coordinate_does_to_a_point(
    values: dict[str, float], moved: tuple[float, float]
) -> None:
    homography = homographies(one(**values))[0]
    x, y, depth = (homography @ torch.tensor([0.5, 0.25, 1.0])).tolist()
    assert (x / depth, y / depth) == pytest.approx(moved, abs=1e-6)


def test_warp_is_that_of_opencv() -> None:
    side, margin = 64, 16
    rng = np.random.default_rng(0)
    coarse = rng.random((12, 12)).astype(np.float32)
    around = cv2.resize(coarse, (side + 2 * margin,) * 2, interpolation=cv2.INTER_CUBIC)
    coordinates = some()
    ours = warp(torch.from_numpy(around).expand(6, 1, -1, -1), coordinates, side)
    # From pixels of the map around to the tile's coordinates, and back to the tile's pixels.
    half, middle = side / 2, (side + 2 * margin - 1) / 2
    into = np.array([[1 / half, 0, -middle / half], [0, 1 / half, -middle / half], [0, 0, 1]])
    back = np.array([[half, 0, (side - 1) / 2], [0, half, (side - 1) / 2], [0, 0, 1]])
    for tile, homography in zip(ours, homographies(coordinates).numpy(), strict=True):
        whole = back @ homography.astype(np.float64) @ into
        expected = cv2.warpPerspective(around, whole, (side, side), flags=cv2.INTER_LINEAR)
        difference = np.abs(tile[0].numpy() - expected)
        # OpenCV rounds positions to 1/32 of a pixel.
        assert difference.max() < 0.05
        assert difference.mean() < 0.005
    assert np.abs(ours[0, 0].numpy() - ours[1, 0].numpy()).mean() > 0.01


def test_the_identity_leaves_the_middle_as_it_is() -> None:
    maps = torch.rand(2, 1, 20, 26)
    tile = warp(maps, torch.zeros(2, 8), 12)
    torch.testing.assert_close(tile, maps[..., 4:16, 7:19], rtol=0, atol=1e-5)


def test_a_warp_and_its_inverse_cancel() -> None:
    smooth = torch.nn.functional.interpolate(torch.rand(6, 1, 8, 8), size=96, mode="bicubic")
    there = warp(smooth, some(), 96)
    again = warp(there, -some(), 96)
    middle = (slice(None), slice(None), slice(36, 60), slice(36, 60))
    assert (again[middle] - smooth[middle]).abs().max() < 0.05


def test_distances_by_hand_and_at_zero() -> None:
    assert euclidean(one(shift_x=0.3, shift_y=0.4)).item() == pytest.approx(0.5, abs=2e-3)
    assert geodesic(one(shift_x=0.3, shift_y=0.4)).item() == pytest.approx(0.5, abs=2e-3)
    turned = geodesic(one(rotation=0.3)).item()
    assert turned == pytest.approx(0.3 * math.sqrt(2), abs=2e-3)
    for distance in (euclidean, geodesic):
        nothing = torch.zeros(1, 8, requires_grad=True)
        value = distance(nothing)
        value.sum().backward()
        assert value.item() == 0
        assert nothing.grad is not None
        assert torch.equal(nothing.grad, torch.zeros(1, 8))
