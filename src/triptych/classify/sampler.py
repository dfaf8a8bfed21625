"""Which images an epoch shows, and in which order."""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.classify.recipes import ClassifyRecipe
from triptych.training.seeding import stream


def epoch_order(images: int, recipe: ClassifyRecipe, seed: int, epoch: int) -> Tensor:
    """Indices (images,) of one epoch, in order; the versions of an image stand side by side.

    With repeated augmentation (Hoffer 2020) each chosen image stands `repeats` times and the rest
    waits for another epoch. The order is drawn anew in every epoch, unless the recipe's sampler is
    `fixed`: a repeated-augmentation sampler whose epoch is never set shows the same images for
    ever.
    """
    moving = epoch if recipe.sampler == "moving" else 0
    order = torch.randperm(images, generator=stream(seed, "order", moving))
    chosen = order[: -(-images // recipe.repeats)]
    return chosen.repeat_interleave(recipe.repeats)[:images]
