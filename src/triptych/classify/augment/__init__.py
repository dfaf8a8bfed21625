"""Augmentation of training pictures for classification: drawn per sample, applied per batch.

Every operation equals torchvision's on uint8 tensors, and the parameters are drawn as torchvision
draws them; here a whole batch is done at once, on any device, without worker processes.
"""

from __future__ import annotations

from triptych.classify.augment.mix import Mixture, apply_mixture, draw_mixture, mix
from triptych.classify.augment.pipeline import (
    Augmentation,
    Parameters,
    apply,
    augment,
    draw,
    normalise,
)
from triptych.classify.augment.trivial import (
    BINS,
    MAGNITUDES,
    OPERATIONS,
    SIGNED,
    trivial_augment,
)

__all__ = [
    "BINS",
    "MAGNITUDES",
    "OPERATIONS",
    "SIGNED",
    "Augmentation",
    "Mixture",
    "Parameters",
    "apply",
    "apply_mixture",
    "augment",
    "draw",
    "draw_mixture",
    "mix",
    "normalise",
    "trivial_augment",
]
