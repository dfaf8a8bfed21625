"""BatchNorm folded into the convolution before it, its statistics taken anew, its eps taken off.

The first two change nothing of what a network computes in evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_STEP = 2.0**-40
"""Between one float32 number and the next where BatchNorm's usual eps is, 1e-5."""


def pairs(trunk: nn.Module) -> list[tuple[nn.Conv2d, _BatchNorm]]:
    """Each convolution with the BatchNorm after it, in the order in which they were defined.

    Raises ValueError where it is not one after the other throughout, as in EfficientNet-Lite.
    """
    convs = [m for m in trunk.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in trunk.modules() if isinstance(m, _BatchNorm)]
    widths = [conv.out_channels for conv in convs], [norm.num_features for norm in norms]
    if widths[0] != widths[1] or any(conv.bias is not None for conv in convs):
        raise ValueError("not a network of convolutions with a BatchNorm after each")
    return list(zip(convs, norms, strict=True))


@torch.no_grad()
def fold(trunk: nn.Module) -> None:
    """Multiply each BatchNorm into its convolution, so that a bias is all that is left of it."""
    for conv, norm in pairs(trunk):
        mean, scale = _statistics(norm)
        factor = norm.weight.double() / scale
        conv.weight.copy_(conv.weight.double() * factor.view(-1, 1, 1, 1))
        identity(norm, norm.bias.double() - mean * factor)


@torch.no_grad()
def identity(norm: _BatchNorm, bias: Tensor) -> None:
    """Make a BatchNorm add `bias` (C,) in evaluation and nothing else."""
    mean, variance = _running(norm)
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)
    mean.zero_()
    variance.fill_(1.0 - norm.eps)


@torch.no_grad()
def without_eps(norm: _BatchNorm) -> None:
    """Make a BatchNorm compute in evaluation what it would compute with an eps of 0.

    Its weight is multiplied by sqrt((variance + eps) / variance), and its variance stays. To take
    eps off the variance would be the same on paper, but float32 numbers near 1e-5 lie 9e-13 apart:
    a smaller variance, as a channel has whose filter has all but died, would be rounded up to
    that, or down to a sum of 0, though its weight is as small and the quotient an ordinary number.

    A variance of 0 is another matter. An eps of 0 would make it infinity times the distance from
    the mean, so that a network with such a channel works only where its input is always the mean;
    what is left then is the bias, with any finite factor. It gets the factor of the variance 9e-13:
    a distance is blown up as it should be, by a million, but not the rounding of the mean as well,
    which is 6e-8 of it and would drown the bias with the largest factor that float32 can hold.
    """
    variance = _running(norm)[1].double()
    variance = torch.where(variance > 0, variance, _STEP)
    norm.weight.copy_(norm.weight.double() * ((variance + norm.eps) / variance).sqrt())


@torch.no_grad()
def restate(
    norms: Iterable[_BatchNorm], images: Iterable[Any], model: Callable[[Any], object]
) -> None:
    """Give each BatchNorm the mean and variance of what enters it when `model` takes the images.

    Weight and bias are changed along, such that the network computes the same in evaluation. In
    training, where a batch's own statistics take the place of these, it then begins with nearly
    the same too. `model`, in evaluation mode, is called with one element of `images` after the
    other. What is not reached stays as it was.
    """
    sums: dict[_BatchNorm, list[Any]] = {norm: [0, 0.0, 0.0] for norm in norms}

    def count(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BatchNorm)
        values = inputs[0].detach().double().transpose(0, 1).flatten(1)
        entry = sums[norm]
        entry[0] += values.shape[1]
        entry[1] = entry[1] + values.sum(dim=1)
        entry[2] = entry[2] + values.square().sum(dim=1)

    hooks = [norm.register_forward_pre_hook(count) for norm in sums]
    try:
        for each in images:
            model(each)
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (number, total, squares) in sums.items():
        if not number:
            continue
        mean = total / number
        variance = (squares / number - mean.square()).clamp_(min=0)
        old_mean, old_scale = _statistics(norm)
        factor = norm.weight.double() / old_scale
        running_mean, running_var = _running(norm)
        norm.bias.copy_(norm.bias.double() + (mean - old_mean) * factor)
        norm.weight.copy_(factor * (variance + norm.eps).sqrt())
        running_mean.copy_(mean)
        running_var.copy_(variance)


def _running(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("this BatchNorm keeps no statistics")
    return norm.running_mean, norm.running_var


def _statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Mean and what is divided by, in float64."""
    mean, variance = _running(norm)
    return mean.double(), (variance.double() + norm.eps).sqrt()
