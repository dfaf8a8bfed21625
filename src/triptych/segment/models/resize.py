"""The one way in which maps change their size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize(x: Tensor, *, like: Tensor) -> Tensor:
    """`x` (N, C, h, w) at the height and width of `like`: bilinear, corners not aligned."""
    return resize_to(x, like.shape[-2:])


def resize_to(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """`x` (N, C, h, w) at that height and width; where it has them already it stays the same."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
