"""Depthwise convolutions whose gradients are fast in bfloat16 on a processor.

oneDNN's bfloat16 kernels for the gradients of depthwise convolutions fall back to a reference
where the stride is 2 or the kernel larger than 3x3: measured on one core with AVX-512 BF16, the
gradients of a 5x5 convolution of stride 2 took 136 ms there and 20 ms in float32. They were more
than half of a training step of EfficientNet-Lite0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class FastDepthwise(TorchFunctionMode):
    """While it is on, `conv2d` under bfloat16 autocast takes float32 for depthwise gradients.

    The forward pass stays the same to the bit; gradients are at least as exact as before.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.conv2d and (call := _Call(*args, **(kwargs or {}))).is_slow():
            return call.run()
        return func(*args, **(kwargs or {}))


class _Call(NamedTuple):
    """The arguments of `torch.conv2d` under their names there."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1

    def is_slow(self) -> bool:
        """Whether it is a convolution in bfloat16 with gradients that are slow there."""
        return (
            self.weight.shape[1] == 1
            and 1 < self.groups == self.weight.shape[0] == self.input.shape[1]
            and (max(_pair(self.stride)) > 1 or max(self.weight.shape[-2:]) > 3)
            and not isinstance(self.padding, str)
            and self.input.device.type == "cpu"
            and torch.is_grad_enabled()
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
        )

    def run(self) -> Tensor:
        half = torch.bfloat16
        result: Tensor = _Convolution.apply(
            self.input.to(half),
            self.weight.to(half),
            None if self.bias is None else self.bias.to(half),
            _pair(self.stride),
            _pair(self.padding),
            _pair(self.dilation),
            self.groups,
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
