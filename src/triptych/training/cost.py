"""What a model costs: multiply-accumulates of an image and of a training, activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

PASSES = 3
"""A training step costs about three forward passes: one forward, two backward."""


def training_gflop(macs_of_image: int, samples: int) -> float:
    """GFLOP of a training that saw so many samples, two operations a multiply-accumulate."""
    return round(2 * PASSES * macs_of_image * samples / 1e9, 1)


def macs(model: nn.Module, height: int, width: int | None = None) -> int:
    """Multiply-accumulates of one image (3, height, width), square without a width, in evaluation.

    Of convolutions, linear layers and the two matrix products of attention; norms, activations
    and additions are not counted. Works on the meta device.
    """
    return macs_of(lambda: evaluate_once(model, height, width))


def macs_of(call: Callable[[], object]) -> int:
    """Multiply-accumulates of what `call` computes, counted as `macs` does."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    flops: int = counter.get_total_flops()
    return flops // 2


def activations(model: nn.Module, height: int, width: int | None = None) -> int:
    """Values that all convolutions and linear layers put out for one image.

    Radosavovic 2020 (Designing Network Design Spaces, section 3.3) counts the outputs of
    convolutions and finds that they predict the time on accelerators better than operations do;
    linear layers are counted here too, since a transformer has hardly anything else.
    """
    count = 0

    def add(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal count
        count += output.numel()

    layers = [layer for layer in model.modules() if isinstance(layer, _ConvNd | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    try:
        evaluate_once(model, height, width)
    finally:
        for hook in hooks:
            hook.remove()
    return count


def evaluate_once(model: nn.Module, height: int, width: int | None = None) -> None:
    """Send one black image through the model in evaluation; the model stays as it was."""
    # A ViT that leaves out what its logits do not need counts like everybody else's.
    forward = getattr(model, "forward_every_token", model)
    first = next(model.parameters())
    images = torch.zeros(1, 3, height, width or height, device=first.device, dtype=first.dtype)
    with evaluating(model), torch.no_grad():
        forward(images)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode for a while; each of its modules gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
