"""Depthwise convolutions whose gradients are fast in bfloat16 on a processor.

oneDNN's bfloat16 kernels for the gradients of depthwise convolutions fall back to a reference
where the stride is 2 or the kernel larger than 3x3: measured on one core with AVX-512 BF16, the
gradients of a 5x5 convolution of stride 2 took 136 ms there and 20 ms in float32. They were more
than half of a training step of EfficientNet-Lite0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class FastDepthwise(TorchFunctionMode):
    """While it is on, `conv2d` of bfloat16 autocast takes float32 for depthwise gradients.

    The forward pass stays the same to the bit; gradients are at least as exact as before.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.conv2d and _slow(*args, **kwargs):
            return _depthwise(*args, **kwargs)
        return func(*args, **kwargs)


def _slow(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> bool:
    return (
        weight.shape[1] == 1
        and 1 < groups == weight.shape[0] == images.shape[1]
        and images.device.type == "cpu"
        and torch.is_grad_enabled()
        and not isinstance(padding, str)
        and (max(_pair(stride)) > 1 or max(weight.shape[-2:]) > 3)
    )


def _depthwise(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    half = torch.bfloat16
    result: Tensor = _Convolution.apply(
        images.to(half),
        weight.to(half),
        None if bias is None else bias.to(half),
        _pair(stride),
        _pair(padding),
        _pair(dilation),
        groups,
    )
    return result


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return value, value
    first, last = value[0], value[-1]
    return int(first), int(last)


class _Convolution(torch.autograd.Function):
    """`conv2d` in bfloat16 with the gradients that are slow there computed in float32."""

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.settings = (stride, padding, dilation, groups, bias is not None)
        return torch.conv2d(images, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        images, weight = ctx.saved_tensors
        stride, padding, dilation, groups, biased = ctx.settings
        of_images, of_weight, _ = ctx.needs_input_grad[:3]

        def gradients(exact: bool, mask: tuple[bool, bool]) -> Any:
            three = (gradient, images, weight)
            inputs = [each.float() for each in three] if exact else three
            return torch.ops.aten.convolution_backward(
                *inputs, None, stride, padding, dilation, False, (0, 0), groups, [*mask, False]
            )

        strided = max(stride) > 1
        both = of_images and of_weight and strided
        if both:
            to_images, to_weight, _ = gradients(True, (True, True))
        else:
            to_images = gradients(strided, (True, False))[0] if of_images else None
            to_weight = gradients(True, (False, True))[1] if of_weight else None
        half = images.dtype
        return (
            None if to_images is None else to_images.to(half),
            None if to_weight is None else to_weight.to(half),
            gradient.sum((0, 2, 3)) if biased else None,
            None,
            None,
            None,
            None,
        )
