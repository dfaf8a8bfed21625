"""Exponential moving average of a model's weights, used for evaluation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class Ema:
    """Keeps `average = decay * average + (1 - decay) * weights` after every update.

    The decay is warmed up as min(decay, (1 + step) / (10 + step)), so that short runs are not
    dominated by the first weights. Buffers (BatchNorm statistics) are copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        averages: list[Tensor] = list(self.model.parameters())
        torch._foreach_lerp_(averages, [p.detach() for p in model.parameters()], weight)
        for average, buffer in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(buffer)

    def state_dict(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        self.model.load_state_dict(tensors)
