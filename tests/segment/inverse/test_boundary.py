"""Boundary maps against a distance transform, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from triptych.data.classes import VOID
from triptych.segment.inverse.boundary import boundary_maps


def reference(
    labels: NDArray[np.int64], radius: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """By Euclidean distance to the nearest pixel of any other class, and to the nearest void."""
    boundary = np.zeros(labels.shape, np.bool_)
    for label in np.unique(labels[labels != VOID]):
        others = (labels != label) & (labels != VOID)
        if others.any():
            near = ndimage.distance_transform_edt(~others) <= radius
            boundary |= near & (labels == label)
    hidden = labels == VOID
    far = ndimage.distance_transform_edt(~hidden) > radius if hidden.any() else ~hidden
    return boundary, ~hidden & (far | boundary)


def blobs(seed: int, void: bool) -> NDArray[np.int64]:
    """Patches of 4 classes, with patches of void among them."""
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 4, (5, 6)), np.ones((12, 12), np.int64))
    labels[rng.random(labels.shape) < 0.005] = 3
    if void:
        labels[rng.random(labels.shape) < 0.002] = VOID
        labels[10:20, 15:40] = VOID
    return labels


@pytest.mark.parametrize("radius", [1, 2, 3, 5])
@pytest.mark.parametrize("void", [False, True])
def test_like_a_distance_transform(radius: int, void: bool) -> None:
    labels = np.stack([blobs(seed, void) for seed in range(3)])
    boundary, known = boundary_maps(torch.from_numpy(labels), radius)
    assert boundary.shape == known.shape == (3, 1, *labels.shape[1:])
    assert boundary.dtype == known.dtype == torch.float32
    for index, each in enumerate(labels):
        expected, trusted = reference(each, radius)
        assert 0 < expected.mean() < 1
        np.testing.assert_array_equal(boundary[index, 0].numpy(), expected)
        np.testing.assert_array_equal(known[index, 0].numpy(), trusted)


def test_two_halves_have_two_columns_each_way() -> None:
    labels = torch.zeros(1, 4, 10, dtype=torch.int64)
    labels[..., 5:] = 7
    boundary, known = boundary_maps(labels)
    assert boundary[0, 0].tolist() == [[0, 0, 0, 1, 1, 1, 1, 0, 0, 0]] * 4
    assert bool((known == 1).all())


def test_void_makes_no_boundary_and_hides_what_is_near() -> None:
    labels = torch.tensor([[[1, 1, 1, 1, VOID, 2, 2, 2, 2]]])
    boundary, known = boundary_maps(labels)
    # 1 and 2 lie two pixels apart across the void: that is a boundary, whatever void hides.
    assert boundary[0, 0, 0].tolist() == [0, 0, 0, 1, 0, 1, 0, 0, 0]
    assert known[0, 0, 0].tolist() == [1, 1, 0, 1, 0, 1, 0, 1, 1]
    alone, trusted = boundary_maps(torch.tensor([[[1, 1, 1, 1, VOID, VOID, VOID]]]))
    assert not bool(alone.any())
    assert trusted[0, 0, 0].tolist() == [1, 1, 0, 0, 0, 0, 0]


def test_maps_smaller_than_the_radius_and_all_void() -> None:
    assert boundary_maps(torch.tensor([[[3, 4]]]), radius=5)[0].tolist() == [[[[1, 1]]]]
    boundary, known = boundary_maps(torch.full((1, 3, 3), VOID))
    assert not bool(boundary.any())
    assert not bool(known.any())


def test_transposed_labels_have_the_transposed_boundary() -> None:
    labels = torch.from_numpy(blobs(5, void=True))[None]
    for straight, turned in zip(
        boundary_maps(labels), boundary_maps(labels.transpose(1, 2)), strict=True
    ):
        assert torch.equal(straight.transpose(2, 3), turned)
