"""MixUp (Zhang 2017, arXiv 1710.09412) or CutMix (Yun 2019, 1905.04899), one of them a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mixture:
    """How a batch is mixed with its partners: a box of them, or all over."""

    share: float
    """Of the picture itself in its target; 1 - share is the partner's."""
    box: Box | None = None
    """CutMix: top, left, height, width of what the partner covers; None for MixUp."""


def draw_mixture(
    height: int,
    width: int,
    generator: torch.Generator,
    *,
    mixup: float = 0.8,
    cutmix: float = 1.0,
    probability: float = 1.0,
) -> Mixture:
    """MixUp with share from Beta(mixup, mixup) or CutMix with Beta(cutmix, cutmix), equally often.

    Where one of the two is 0 it is always the other; with 1 - `probability` neither. CutMix's box
    has the sides √(1 - share) of the picture around a centre drawn uniformly, is cut off at the
    border, and its true area corrects the share.
    """
    rng = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    mixed, cut = rng.random(2)
    if mixed >= probability or (mixup <= 0 and cutmix <= 0):
        return Mixture(1.0)
    if mixup > 0 and (cut >= 0.5 or cutmix <= 0):
        return Mixture(float(rng.beta(mixup, mixup)))
    side = math.sqrt(1 - rng.beta(cutmix, cutmix))
    top, bottom = _span(height, side, rng)
    left, right = _span(width, side, rng)
    box = (top, left, bottom - top, right - left)
    return Mixture(1 - box[2] * box[3] / (height * width), box)


def _span(size: int, share: float, rng: np.random.Generator) -> tuple[int, int]:
    """First and last + 1 of `share` of `size` pixels around a random one, cut off at the border."""
    length, centre = int(size * share), int(rng.integers(size))
    return max(centre - length // 2, 0), min(centre + (length + 1) // 2, size)


def apply_mixture(
    images: Tensor, labels: Tensor, classes: int, mixture: Mixture, smoothing: float = 0.1
) -> tuple[Tensor, Tensor]:
    """New images (N, C, H, W) and targets (N, classes) float32 that sum to 1.

    Partner of sample i is N - 1 - i, as in timm. (The neighbour, torchvision's choice, would often
    be the same picture where repeated augmentation puts copies side by side.) Smoothing gives
    `smoothing` / `classes` to every class and the rest to the label, before mixing.
    """
    off = smoothing / classes
    targets = torch.full((len(labels), classes), off, device=images.device)
    targets.scatter_(1, labels.to(images.device).long()[:, None], 1 - smoothing + off)
    share = mixture.share
    if share < 1:
        targets = targets * share + targets.flip(0) * (1 - share)
    if mixture.box is None:
        return (images * share + images.flip(0) * (1 - share) if share < 1 else images), targets
    top, left, tall, wide = mixture.box
    hole = (..., slice(top, top + tall), slice(left, left + wide))
    mixed = images.clone()
    mixed[hole] = images[hole].flip(0)
    return mixed, targets


def mix(
    images: Tensor,
    labels: Tensor,
    classes: int,
    generator: torch.Generator,
    smoothing: float = 0.1,
    mixup: float = 0.8,
    cutmix: float = 1.0,
    probability: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) float and labels (N,) → mixed images, soft targets (N, classes) float32.

    `draw_mixture` with a CPU generator, then `apply_mixture`; the given images stay as they are.
    """
    height, width = images.shape[-2:]
    mixture = draw_mixture(
        height, width, generator, mixup=mixup, cutmix=cutmix, probability=probability
    )
    return apply_mixture(images, labels, classes, mixture, smoothing)
