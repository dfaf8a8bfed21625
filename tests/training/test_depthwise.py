"""Depthwise gradients in float32: the same function, gradients against float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from triptych.training.depthwise import FastDepthwise
from triptych.training.device import autocast

CPU = torch.device("cpu")
CASES = [(3, 2, 1, 1), (5, 1, 2, 1), (5, 2, 2, 1), (5, 2, 0, 1), (3, 2, 2, 2), (3, 1, 1, 1)]
"""Kernel, stride, padding, dilation."""


def gradients(images, weight, bias, case, mode):
    _, stride, padding, dilation = case
    leaves = [None if t is None else t.clone().requires_grad_() for t in (images, weight, bias)]
    with mode:
        out = F.conv2d(*leaves, stride, padding, dilation, images.shape[1])
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(out.shape, generator=generator)
    (out.double() * weights.double()).sum().backward()
    return out, [None if leaf is None else leaf.grad for leaf in leaves]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("biased", [False, True])
def test_gradients_are_those_of_the_convolution(case, biased):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, 8, 13, 11), generator=generator).bfloat16().float()
    weight = torch.randn((8, 1, case[0], case[0]), generator=generator).bfloat16().float()
    bias = torch.randn(8, generator=generator).bfloat16().float() if biased else None
    half, ours = gradients(images, weight, bias, case, autocast(CPU, "bfloat16"))
    plain, _ = gradients(images, weight, bias, case, torch.autocast("cpu", torch.bfloat16))
    doubles = [None if t is None else t.double() for t in (images, weight, bias)]
    _, exact = gradients(*doubles, case, torch.autocast("cpu", enabled=False))
    torch.testing.assert_close(half, plain, rtol=0, atol=0)
    for mine, true in zip(ours, exact, strict=True):
        if true is not None:
            assert mine.dtype == torch.float32
            error = (mine.double() - true).norm() / true.norm()
            assert error < 0.01  # bfloat16 has 8 bits


def test_it_is_used_where_it_helps_and_only_there():
    slow = nn.Conv2d(8, 8, 5, padding=2, groups=8)
    fast = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    dense = nn.Conv2d(8, 8, 5, padding=2)
    images = torch.randn(1, 8, 16, 16, requires_grad=True)
    with FastDepthwise(), torch.autocast("cpu", torch.bfloat16):
        names = [layer(images).grad_fn.name() for layer in (slow, fast, dense)]
        with torch.no_grad():
            assert slow(images).grad_fn is None
    assert "_Convolution" in names[0]
    assert not any("_Convolution" in name for name in names[1:])


def test_frozen_weights_get_no_gradient_and_images_do():
    layer = nn.Conv2d(4, 4, 5, stride=2, padding=2, groups=4).requires_grad_(False)
    images = torch.randn(1, 4, 9, 9, requires_grad=True)
    with autocast(CPU, "bfloat16"):
        layer(images).float().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert layer.weight.grad is None


def test_float32_is_untouched():
    layer = nn.Conv2d(4, 4, 5, padding=2, groups=4)
    with autocast(CPU, "float32"):
        out = layer(torch.randn(1, 4, 9, 9))
    assert out.dtype == torch.float32
    assert "_Convolution" not in out.grad_fn.name()
