"""Pairs of tiles: drawn by seed, with enough boundary, degraded without being moved."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from triptych.data.classes import CITYSCAPES
from triptych.data.labelled import Image, LabelMap
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.segment.inverse.boundary import boundary_maps
from triptych.segment.inverse.degrade import degrade
from triptych.segment.inverse.homography import warp
from triptych.segment.inverse.networks import TILE
from triptych.segment.inverse.pairs import (
    MARGIN,
    STRIDE,
    Boundaries,
    centre,
    draw_coordinates,
    draw_pairs,
    largest,
)
from triptych.segment.inverse.recipe import InverseRecipe, inverse
from triptych.segment.inverse.tiles import enough_boundary
from triptych.training.seeding import stream

DATA = "streets:scenes=2,frames=2,size=200x150"


@pytest.fixture(scope="module")
def maps() -> Boundaries:
    return Boundaries(open_data(DATA, "train"), 400)


@pytest.fixture(scope="module")
def recipe() -> InverseRecipe:
    return inverse()


def test_the_same_stream_gives_the_same_pairs(maps: Boundaries, recipe: InverseRecipe) -> None:
    first = draw_pairs(maps, recipe, 6, stream(0, "a"))
    again = draw_pairs(maps, recipe, 6, stream(0, "a"))
    other = draw_pairs(maps, recipe, 6, stream(0, "b"))
    for name in ("warped", "true", "coordinates", "sources"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.true, other.true)
    assert first.warped.shape == first.true.shape == (6, 1, TILE, TILE)


def test_a_pair_is_a_tile_of_the_boundary_and_its_warp(
    maps: Boundaries, recipe: InverseRecipe
) -> None:
    pairs = draw_pairs(maps, replace(recipe, degraded=0.0), 8, stream(0, "c"))
    frames = open_data(DATA, "train")
    labels = np.stack([frames.load(index)[1] for index in range(len(frames))])
    whole = boundary_maps(torch.from_numpy(labels))[0]
    places = whole.unfold(2, TILE, STRIDE).unfold(3, TILE, STRIDE)
    for tile in pairs.true:
        assert bool((places == tile).all(dim=-1).all(dim=-1).any())
    assert bool(enough_boundary(pairs.true).all())
    assert set(pairs.sources.tolist()) <= set(maps.hashes.tolist())


def test_boundary_moves_in_from_the_margin(maps: Boundaries) -> None:
    around = maps.cut(maps.windows[:20])
    shifted = warp(around, torch.tensor([[-0.25, 0, 0, 0, 0, 0, 0, 0]]).expand(20, -1), TILE)
    pixels = TILE // 8  # a quarter of half a side
    expected = around[..., MARGIN:-MARGIN, MARGIN + pixels : MARGIN + pixels + TILE]
    torch.testing.assert_close(shifted, expected, rtol=0, atol=1e-4)
    assert not torch.equal(expected, centre(around))


def test_coordinates_fill_their_ranges(recipe: InverseRecipe) -> None:
    drawn = draw_coordinates(recipe, 4000, stream(0, "d"))
    limits = largest(recipe)
    assert limits.tolist() == pytest.approx([0.2, 0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1])
    assert bool((drawn.abs() <= limits).all())
    assert bool((drawn.abs().amax(dim=0) > 0.9 * limits).all())
    assert bool((drawn.mean(dim=0).abs() < 0.05 * limits).all())
    only = draw_coordinates(replace(recipe, rotation=0.0, stretch=0.0), 9, stream(0, "d"))
    assert torch.equal(only.abs().amax(dim=0) == 0, torch.tensor([0, 0, 1, 0, 1, 1, 0, 0]) == 1)


def test_degraded_maps_stay_where_they_are(maps: Boundaries) -> None:
    true = centre(maps.cut(maps.windows[torch.arange(32) * (len(maps.windows) // 32)]))
    worse = degrade(true, stream(0, "e"))
    assert worse.shape == true.shape
    assert 0 <= float(worse.min()) < float(worse.max()) <= 1
    assert len({round(float(each.mean()), 4) for each in worse}) > 28

    def likeness(moved: torch.Tensor) -> float:
        return float((moved * (true - true.mean())).mean())

    still = likeness(worse)
    for step in (3, -3):
        assert still > likeness(worse.roll(step, 2))
        assert still > likeness(worse.roll(step, 3))


class Plain:
    """Frames of a single class."""

    name, split, classes = "plain", "train", CITYSCAPES
    keys, groups = ("a",), ("a",)

    def __len__(self) -> int:
        return 1

    def load(self, index: int) -> tuple[Image, LabelMap]:
        return np.zeros((120, 120, 3), np.uint8), np.zeros((120, 120), np.uint8)

    def fingerprint(self) -> str:
        return "plain"


def test_labels_without_boundary_are_refused() -> None:
    with pytest.raises(UserError, match="plain train: no tile of 112x112"):
        Boundaries(Plain(), 4)


def test_at_most_so_many_frames_are_read() -> None:
    frames = open_data(DATA, "train")
    assert len(Boundaries(frames, 3).hashes) == 3
    assert len(Boundaries(frames, 400).hashes) == 4


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("model", "tiny", "model must be inverse"),
        ("pairs", 0, "pairs"),
        ("shift", 0.7, "0.5"),
        ("shift", -0.1, "from 0"),
        ("warmup", 1.0, "warmup"),
        ("degraded", 1.5, "degraded"),
    ],
)
def test_recipes_that_make_no_sense(
    recipe: InverseRecipe, field: str, value: object, word: str
) -> None:
    with pytest.raises(UserError, match=word):
        replace(recipe, **{field: value})  # type: ignore[arg-type]


def test_a_recipe_without_any_warp_is_refused(recipe: InverseRecipe) -> None:
    nothing = dict.fromkeys(("shift", "rotation", "scale", "stretch", "perspective"), 0.0)
    with pytest.raises(UserError, match="above 0"):
        replace(recipe, **nothing)  # type: ignore[arg-type]
