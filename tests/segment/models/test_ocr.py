"""The OCR head against its definition, worked in NumPy step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from triptych.segment.models.ocr import ObjectAttention, OCRHead, gather_objects

Array = NDArray[np.float64]


def settled(module: nn.Module) -> nn.Module:
    torch.manual_seed(2)
    with torch.no_grad():
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.running_mean.normal_(0, 0.2)
                each.running_var.uniform_(0.5, 1.5)
                each.weight.uniform_(0.5, 1.5)
                each.bias.normal_(0, 0.2)
    return module.double().eval()


@pytest.fixture
def features() -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(2, 6, 3, 4, generator=generator, dtype=torch.float64)


def softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def norm_relu(block: nn.Module, x: Array) -> Array:
    """Batch norm from its running statistics, then ReLU, of channels-first x."""
    norm = block[0]
    mean, var, gain, bias = (
        t.detach().numpy().reshape(-1, *(1,) * (x.ndim - 1))
        for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return np.asarray(np.maximum((x - mean) / np.sqrt(var + 1e-5) * gain + bias, 0))


def pointwise(conv: nn.Module, x: Array) -> Array:
    """1×1 convolution of (C, n) columns."""
    y = conv.weight.detach().numpy()[:, :, 0, 0] @ x
    return np.asarray(y if conv.bias is None else y + conv.bias.detach().numpy()[:, None])


def convolution_3x3(conv: nn.Conv2d, x: Array) -> Array:
    """3×3 convolution of (C, h, w) with a border of zeros."""
    _, h, w = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    weight = conv.weight.detach().numpy()
    assert conv.bias is not None
    total = np.zeros((weight.shape[0], h, w)) + conv.bias.detach().numpy()[:, None, None]
    for dy in range(3):
        for dx in range(3):
            window = padded[:, dy : dy + h, dx : dx + w]
            total += np.einsum("oc,chw->ohw", weight[:, :, dy, dx], window)
    return total


def worked(head: OCRHead, x: Array) -> tuple[Array, Array]:
    """One picture's logits and auxiliary logits from features (C, h, w), equations 1 to 4."""
    h, w = x.shape[1:]
    columns = x.reshape(x.shape[0], -1)
    first, norm, last = head.aux_head
    aux = pointwise(last, norm_relu(norm, pointwise(first, columns)))
    pixels = norm_relu(head.conv3x3_ocr[1], convolution_3x3(head.conv3x3_ocr[0], x))
    pixels = pixels.reshape(pixels.shape[0], -1)
    objects = np.stack([pixels @ weights for weights in softmax(aux, 1)], 1)  # (mid, K)

    attention = head.ocr_distri_head.object_context_block

    def twice(layers: nn.Sequential, y: Array) -> Array:
        y = norm_relu(layers[1], pointwise(layers[0], y))
        return norm_relu(layers[3], pointwise(layers[2], y))

    queries, keys = twice(attention.f_pixel, pixels), twice(attention.f_object, objects)
    values = norm_relu(attention.f_down[1], pointwise(attention.f_down[0], objects))
    relation = softmax(queries.T @ keys / np.sqrt(keys.shape[0]), 1)  # (hw, K)
    context = values @ relation.T
    context = norm_relu(attention.f_up[1], pointwise(attention.f_up[0], context))
    joined, norm, _ = head.ocr_distri_head.conv_bn_dropout
    described = norm_relu(norm, pointwise(joined, np.concatenate([context, pixels])))
    logits = pointwise(head.cls_head, described)
    return logits.reshape(-1, h, w), aux.reshape(-1, h, w)


def test_logits_are_those_of_the_definition(features: torch.Tensor) -> None:
    head = settled(OCRHead(6, 3, mid=8, key=4))
    assert isinstance(head, OCRHead)
    with torch.inference_mode():
        logits, aux = head(features)
    assert logits.std() > 1e-3
    for index in range(2):
        expected, expected_aux = worked(head, features[index].numpy())
        np.testing.assert_allclose(logits[index], expected, atol=1e-10)
        np.testing.assert_allclose(aux[index], expected_aux, atol=1e-10)


def test_an_object_is_the_mean_of_its_region() -> None:
    pixels = torch.tensor([[[[1.0, 2.0, 3.0, 10.0]], [[0.0, 4.0, 8.0, 100.0]]]])
    far = -1e9
    regions = torch.tensor([[[[0.0, 0.0, 0.0, far]], [[far, far, far, 3.0]], [[7.0] * 4]]])
    objects = gather_objects(pixels, regions)
    torch.testing.assert_close(objects, torch.tensor([[[2.0, 10.0, 4.0], [4.0, 100.0, 28.0]]]))


def test_objects_have_no_order() -> None:
    """Permuting the objects changes no pixel: attention sums over them."""
    attention = settled(ObjectAttention(6, 4))
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(1, 6, 2, 5, generator=generator, dtype=torch.float64)
    objects = torch.randn(1, 6, 3, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        one, other = attention(pixels, objects), attention(pixels, objects[..., [2, 0, 1]])
        changed = attention(pixels, objects * 2)
    torch.testing.assert_close(one, other)
    assert not torch.allclose(one, changed)


def test_any_trunk_and_width() -> None:
    head = OCRHead(24, 11, mid=16, key=8).train()
    logits, aux = head(torch.randn(2, 24, 5, 7))
    assert logits.shape == aux.shape == (2, 11, 5, 7)
    described, again = head.describe(torch.randn(2, 24, 5, 7))
    assert described.shape == (2, 16, 5, 7)
    assert again.shape == aux.shape
    (logits.square().mean() + aux.square().mean()).backward()
    assert all(p.grad is not None for p in head.parameters())


def test_the_published_widths_are_the_default() -> None:
    head = OCRHead(720, 19)
    assert head.cls_head.in_channels == 512
    assert head.ocr_distri_head.object_context_block.f_down[0].out_channels == 256
