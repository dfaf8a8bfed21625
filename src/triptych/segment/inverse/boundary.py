"""Boundary maps: where label maps change from one class to another."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from triptych.data.classes import VOID

RADIUS = 2
"""Pixels on either side of a boundary that count as boundary (Borse 2021)."""


def boundary_maps(labels: Tensor, radius: int = RADIUS, void: int = VOID) -> tuple[Tensor, Tensor]:
    """Boundaries of label maps (N, H, W), and where they are known: both (N, 1, H, W), float32.

    A pixel is boundary, 1, where a pixel of another class lies within `radius` (Euclidean, in
    pixels). Void makes no boundary and has none; the picture's border makes none either. Not
    known, 0, are void pixels and those within `radius` of void that have no other class near: what
    void hides there may be a boundary. Labels are from 0 to 255.
    """
    classes = labels.to(torch.uint8)
    hidden = classes == void
    boundary = torch.zeros_like(hidden)
    near_void = hidden.clone()
    for here, there in _pairs(radius, *labels.shape[-2:]):
        one, other = classes[here], classes[there]
        void_one, void_other = hidden[here], hidden[there]
        change = (one != other) & ~(void_one | void_other)
        boundary[here] |= change
        boundary[there] |= change
        near_void[here] |= void_other
        near_void[there] |= void_one
    known = ~near_void | boundary
    return boundary.unsqueeze(1).float(), known.unsqueeze(1).float()


Window = tuple[slice, slice, slice]


def _pairs(radius: int, height: int, width: int) -> Iterator[tuple[Window, Window]]:
    """Windows of equal size on all maps, shifted against each other by every step of the disk.

    Of a step and its opposite only one is given: the other is the same pair the other way round.
    """
    for down in range(radius + 1):
        for right in range(-radius, radius + 1):
            inside = 0 < down**2 + right**2 <= radius**2
            if not inside or (down == 0 and right < 0) or down >= height or abs(right) >= width:
                continue
            rows = slice(0, height - down), slice(down, height)
            columns = slice(max(-right, 0), width - max(right, 0))
            shifted = slice(max(right, 0), width - max(-right, 0))
            every = slice(None)
            yield (every, rows[0], columns), (every, rows[1], shifted)
