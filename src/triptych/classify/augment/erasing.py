"""RandomErasing (Zhong 2017, arXiv 1708.04896) with zeros, on normalised pictures."""

from __future__ import annotations

import torch
from torch import Tensor


def erase_(images: Tensor, boxes: Tensor) -> Tensor:
    """Set boxes (N, 4) of finite images (N, C, H, W) to 0, in place; returns the images.

    `boxes` hold (top, left, height, width); an empty one erases nothing.
    """
    top, left, tall, wide = boxes.to(images.device).unbind(1)
    rows = _within(top, tall, images.shape[-2])
    columns = _within(left, wide, images.shape[-1])
    # Products of floats take half of the time of masks.
    return images.mul_(1 - rows[:, None, :, None] * columns[:, None, None, :])


def _within(start: Tensor, length: Tensor, size: int) -> Tensor:
    """(N, size) float32: 1 for `length` places from `start` on, else 0."""
    places = torch.arange(size, device=start.device) - start[:, None]
    return ((places >= 0) & (places < length[:, None])).float()
