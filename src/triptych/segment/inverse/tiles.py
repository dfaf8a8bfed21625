"""Cutting boundary maps into the tiles that an inverse network compares."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def tiles(maps: Tensor, side: int) -> Tensor:
    """Square tiles (N * k, C, side, side) that cover maps (N, C, H, W), those of a map together.

    Where a side of the map is no multiple of `side`, tiles overlap evenly; a map that is smaller
    is padded with 0 below and on the right.
    """
    height, width = maps.shape[-2:]
    maps = F.pad(maps, (0, max(side - width, 0), 0, max(side - height, 0)))
    height, width = maps.shape[-2:]
    cut = [
        maps[..., top : top + side, left : left + side]
        for top in _starts(height, side)
        for left in _starts(width, side)
    ]
    return torch.stack(cut, dim=1).flatten(0, 1)


def _starts(length: int, side: int) -> list[int]:
    count = -(-length // side)
    room = length - side
    return [round(room * index / max(count - 1, 1)) for index in range(count)]


def enough_boundary(truth: Tensor) -> Tensor:
    """Which tiles (N, 1, side, side) hold enough boundary to tell how it lies: (N,) bool.

    At least as many pixels as a line of one pixel across the tile would have; a boundary of
    radius 2 is four pixels wide, so this is a quarter of one that crosses.
    """
    return truth.sum(dim=(1, 2, 3)) >= truth.shape[-1]
