"""Costs against counts worked by hand."""

from __future__ import annotations

import torch
from torch import nn

from triptych.classify.models import create
from triptych.training import cost
from triptych.training.state import parameter_count


class _Images(nn.Module):
    """Feeds the pixels of an image to a layer as tokens."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(images.flatten(2).transpose(1, 2))
        return out


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = x[:, None].expand(-1, 2, -1, -1) * self.temperature
        return nn.functional.scaled_dot_product_attention(heads, heads, heads)


def test_one_convolution() -> None:
    model = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=True)
    assert parameter_count(model) == 8 * 27 + 8
    assert cost.macs(model, 10) == 5 * 5 * 8 * 27
    assert cost.activations(model, 10) == 5 * 5 * 8


def test_a_grouped_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1, groups=4))
    assert cost.macs(model, 6) == 36 * (3 * 8 + 8 * 9 * 2)


def test_one_linear_layer() -> None:
    model = _Images(nn.Linear(3, 5))
    assert cost.macs(model, 4) == 16 * 3 * 5
    assert cost.activations(model, 4) == 16 * 5


def test_one_attention() -> None:
    # Two heads, 9 tokens, 3 channels: queries with keys, then weights with values.
    assert cost.macs(_Images(_Attention()), 3) == 2 * (9 * 9 * 3 + 9 * 9 * 3)


def test_a_whole_transformer_by_hand() -> None:
    tokens, dim, hidden, depth = 65, 96, 184, 5
    linear = tokens * (4 * dim * dim + 2 * dim * hidden)
    attention = 2 * tokens * tokens * dim
    by_hand = 64 * 48 * dim + depth * (linear + attention) + dim * 100
    assert cost.macs(create("vit-small"), 32) == by_hand
    put_out = 64 * dim + depth * tokens * (5 * dim + hidden) + 100
    assert cost.activations(create("vit-small"), 32) == put_out


def test_the_meta_device_counts_the_same() -> None:
    with torch.device("meta"):
        empty = create("vit-tiny")
    assert cost.macs(empty, 32) == cost.macs(create("vit-tiny"), 32)


def test_leaves_the_model_as_it_was() -> None:
    model = create("resnext-tiny").train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    cost.macs(model, 32)
    cost.activations(model, 32)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())
