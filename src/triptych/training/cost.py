"""What a training step costs in multiply-accumulates."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

PASSES = 3
"""A training step costs about three forward passes: one forward, two backward."""


def macs(model: nn.Module, height: int, width: int) -> int:
    """Multiply-accumulates of one image (3, height, width) in evaluation; the model stays as it is.

    Of convolutions, linear layers and matrix products; norms and activations are not counted.
    """
    image = torch.zeros(1, 3, height, width, device=next(model.parameters()).device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(model).eval()(image)
    return int(counter.get_total_flops()) // 2


def training_gflop(macs_of_image: int, samples: int) -> float:
    """GFLOP of a training that saw so many samples, two operations a multiply-accumulate."""
    return round(2 * PASSES * macs_of_image * samples / 1e9, 1)
