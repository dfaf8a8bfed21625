"""CCT's parts against their formulas."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from triptych.classify.models.cct import CCT, cct


def test_tokens_are_a_convolution_a_relu_and_a_pool() -> None:
    model = cct(10, 32)
    assert isinstance(model, CCT)
    images = torch.randn(2, 3, 32, 32)
    weight = model.tokens[0].weight
    assert isinstance(weight, torch.Tensor)
    expected = F.max_pool2d(F.conv2d(images, weight, padding=1).relu(), 3, 2, 1)
    torch.testing.assert_close(model.tokens(images), expected)
    assert model.positions.shape == (1, 16 * 16, 256)


def test_odd_sizes_have_their_positions() -> None:
    assert cct(10, 33)(torch.zeros(1, 3, 33, 33)).shape == (1, 10)


def test_sequence_pooling_weighs_the_tokens() -> None:
    torch.manual_seed(0)
    model = CCT(10, 8, width=16, depth=1, heads=2)
    model.blocks, model.norm = torch.nn.Sequential(), torch.nn.LayerNorm(16)
    images = torch.randn(2, 3, 8, 8)
    tokens = model.norm(model.tokens(images).flatten(2).mT + model.positions)
    with torch.no_grad():
        model.pool.weight.normal_(0, 3)
    for image, logits in zip(tokens, model(images), strict=True):
        share = (image @ model.pool.weight[0] + model.pool.bias).softmax(0)
        pooled = sum(s * token for s, token in zip(share, image, strict=True))
        torch.testing.assert_close(model.head(pooled), logits)
