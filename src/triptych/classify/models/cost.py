"""What a model costs: parameters, multiply-accumulates, activations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode


def parameters(model: nn.Module) -> int:
    """Trainable numbers; buffers such as BatchNorm's running mean do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


def macs(model: nn.Module, image_size: int) -> int:
    """Multiply-accumulates of one image of image_size × image_size pixels in evaluation.

    Of convolutions, linear layers and the two matrix products of attention; norms, activations
    and additions are not counted. A training step needs about three times as many, and a floating
    point operation is half of one. Works on the meta device.
    """
    with FlopCounterMode(display=False) as counter:
        evaluate_once(model, image_size)
    flops: int = counter.get_total_flops()
    return flops // 2


def activations(model: nn.Module, image_size: int) -> int:
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
        evaluate_once(model, image_size)
    finally:
        for hook in hooks:
            hook.remove()
    return count


def evaluate_once(model: nn.Module, image_size: int) -> None:
    """Send one black image through the model in evaluation; the model stays as it was."""
    # A ViT that leaves out what its logits do not need counts like everybody else's.
    forward = getattr(model, "forward_every_token", model)
    first = next(model.parameters())
    images = torch.zeros(1, 3, image_size, image_size, device=first.device, dtype=first.dtype)
    with _evaluating(model), torch.no_grad():
        forward(images)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
