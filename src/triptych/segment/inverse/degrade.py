"""Making a boundary map look as if a network had predicted it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from triptych.segment.models.resize import resize

_CELLS = 7
"""Blobs along a side in which boundary is missing or invented."""
_SHARP = 8.0
"""How steeply a blob's border rises."""


def degrade(maps: Tensor, generator: torch.Generator) -> Tensor:
    """Boundary maps (N, 1, H, W) as an edge head gives them, values from 0 to 1.

    Each map is blurred by 2 to 8 pixels, thickened or faded, interrupted in blobs, given a trace
    of another map's boundary in others, and lifted from 0; every strength is drawn per map. The
    true position of what is left stays where it was. Drawn at half the resolution, the finest at
    which segmentation networks predict.
    """
    count = len(maps)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)

    half = F.avg_pool2d(maps, 2)
    quarter = resize(F.avg_pool2d(half, 2), like=half)
    eighth = resize(F.avg_pool2d(half, 4), like=half)
    blur = uniform(0, 2)
    some, more = half.lerp(quarter, blur.clamp(max=1)), quarter.lerp(eighth, (blur - 1).clamp(0))
    soft = (torch.where(blur < 1, some, more) * uniform(0.7, 2.5)).clamp(max=1)
    noise = resize(torch.rand(count, 2, _CELLS, _CELLS, generator=generator), like=half)
    kept = ((noise[:, :1] - uniform(-0.5, 0.4)) * _SHARP).clamp(0, 1)
    invented = ((noise[:, 1:] - uniform(0.6, 1.2)) * _SHARP).clamp(0, 1)
    soft = torch.maximum(soft * kept, quarter.roll(1, 0) * invented * uniform(0, 1))
    floor = uniform(0, 0.25)
    return resize(floor + (1 - floor) * soft, like=maps)
