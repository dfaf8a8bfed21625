"""Tiles cover their maps, and only those with boundary count."""

from __future__ import annotations

import pytest
import torch

from triptych.segment.inverse.tiles import enough_boundary, tiles


def test_tiles_are_those_of_the_published_grid() -> None:
    maps = torch.arange(2 * 672 * 1344, dtype=torch.float32).view(2, 1, 672, 1344)
    cut = tiles(maps, 224)
    assert cut.shape == (2 * 18, 1, 224, 224)
    assert torch.equal(cut[7], maps[0, :, 224:448, 224:448])
    assert torch.equal(cut[18 + 5], maps[1, :, :224, 1120:])


@pytest.mark.parametrize("size", [(5, 7), (8, 8), (9, 23), (16, 3)])
def test_every_pixel_is_in_a_tile(size: tuple[int, int]) -> None:
    maps = 1 + torch.arange(size[0] * size[1], dtype=torch.float32).view(1, 1, *size)
    cut = tiles(maps, 8)
    assert cut.shape[1:] == (1, 8, 8)
    assert set(cut.unique().tolist()) - {0.0} == set(maps.unique().tolist())
    counts = (-(-size[0] // 8)) * (-(-size[1] // 8))
    assert len(cut) == counts


def test_enough_is_a_line_across() -> None:
    truth = torch.zeros(3, 1, 8, 8)
    truth[1, 0, 3, :7] = 1
    truth[2, 0, 3] = 1
    assert enough_boundary(truth).tolist() == [False, False, True]
