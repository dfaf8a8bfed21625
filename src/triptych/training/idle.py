"""Parameters that do not learn because nothing that a model says depends on them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from triptych.training.cost import evaluating


def idle_parameters(model: nn.Module, shape: Sequence[int]) -> set[str]:
    """Names of the parameters that are frozen and on which no prediction depends.

    `shape` (C, H, W) is that of an input. What is frozen and takes part in a prediction is not
    among them; nor is what could learn, whether it did or not.
    """
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    if not frozen:
        return set()
    like = next(iter(frozen.values()))
    images = torch.zeros(1, *shape, device=like.device, dtype=like.dtype)
    try:
        for parameter in frozen.values():
            parameter.requires_grad_(True)
        with evaluating(model), torch.enable_grad():
            # A detector's boxes come out of a choice, through which nothing can be traced.
            told = getattr(model, "every_output", model)(images).sum()
            reached = torch.autograd.grad(told, list(frozen.values()), allow_unused=True)
    finally:
        for parameter in frozen.values():
            parameter.requires_grad_(False)
    return {name for name, slope in zip(frozen, reached, strict=True) if slope is None}
