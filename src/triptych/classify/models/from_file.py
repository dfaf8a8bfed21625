"""A classifier of the user's own, made by a function in a Python file (see `own_model`)."""

from __future__ import annotations

import logging

from torch import nn

from triptych.classify.models.drop_path import built_rate, install
from triptych.errors import UserError
from triptych.own_model import logits_of_black, make

log = logging.getLogger("triptych")


def from_file(name: str, classes: int, image_size: int, drop_path: float) -> nn.Module:
    """The model of `PATH.py:FUNCTION`; images (N, 3, S, S) → logits (N, classes).

    Where it has timm's stochastic depth, the recipe's `drop_path` is to drive it (see `install`);
    a rate of its own that differs is said to be replaced. Raises UserError as `own_model` does,
    and where one black image does not become logits of that shape.
    """
    model = make(name, classes, image_size)
    logits = logits_of_black(name, model, image_size, image_size)
    if logits.shape != (1, classes):
        raise UserError(
            f"{name} gives a tensor of shape {tuple(logits.shape)} for one image of "
            f"{image_size}x{image_size} pixels: with {classes} classes it must be (1, {classes})"
        )
    built = built_rate(model)
    if built not in (0.0, drop_path):
        log.warning(
            "%s: its stochastic depth, of at most %g there, follows the recipe: drop_path=%g",
            name,
            built,
            drop_path,
        )
    install(model, built)
    return model
