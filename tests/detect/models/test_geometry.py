"""Each cell of a map looks at the place where torchvision lays its anchors and reads boxes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from triptych.detect.models.from_timm import TimmFPN, features
from triptych.detect.models.settings import STRIDES

SIDE = 640


def even(body: nn.Module) -> nn.Module:
    """The same layers with weights that look at all pixels of a window alike, and no bending."""
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, _BatchNorm):
            module.reset_parameters()
    for parent in body.modules():
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.SiLU | nn.ReLU | nn.ReLU6):
                setattr(parent, name, nn.Identity())
    return body.eval()


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "test_efficientnet", "resnet18"])
def test_a_cell_looks_at_its_stride_times_its_number(name: str) -> None:
    pyramid = TimmFPN(even(features(name)), 8)
    seen: dict[str, torch.Tensor] = {}

    def keep(module: nn.Module, maps: Any) -> None:
        seen.update(maps[0])

    pyramid.fpn.register_forward_pre_hook(keep)
    picture = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    pyramid(picture)
    assert len(seen) == len(STRIDES)
    places = torch.arange(SIDE).float()
    for stride, each in zip(STRIDES, seen.values(), strict=True):
        assert each.shape[-1] == SIDE // stride
        cell = SIDE // stride // 2
        (slope,) = torch.autograd.grad(each[0, :, cell, cell].sum(), picture, retain_graph=True)
        weight = slope.abs().sum(dim=(0, 1))
        centre = (weight.sum(dim=0) * places).sum() / weight.sum()
        assert float(centre) == pytest.approx(SIDE / 2, abs=1.6), stride
