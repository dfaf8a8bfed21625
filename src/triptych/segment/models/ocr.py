"""OCR (Yuan 2020, "Object-Contextual Representations for Semantic Segmentation", ECCV): the head.

Modules carry the names of the published checkpoints, so that those load entry by entry.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DROPOUT = 0.05


class OCRHead(nn.Module):
    """Trunk features to logits, each pixel described by the objects that it may belong to.

    `in_channels` are those of the features, `mid` those of a pixel's description, `key` those in
    which pixels and objects are compared.
    """

    def __init__(self, in_channels: int, classes: int, mid: int = 512, key: int = 256) -> None:
        super().__init__()
        self.conv3x3_ocr = nn.Sequential(nn.Conv2d(in_channels, mid, 3, padding=1), norm_relu(mid))
        self.ocr_distri_head = ObjectContext(mid, key)
        self.cls_head = nn.Conv2d(mid, classes, 1)
        self.aux_head = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 1),
            norm_relu(in_channels),
            nn.Conv2d(in_channels, classes, 1),
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, in_channels, h, w) to logits and auxiliary ones, each (N, classes, h, w)."""
        described, aux = self.describe(features)
        return self.cls_head(described), aux

    def describe(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels' descriptions (N, mid, h, w) and auxiliary logits, the soft object regions."""
        aux = self.aux_head(features)
        pixels = self.conv3x3_ocr(features)
        return self.ocr_distri_head(pixels, gather_objects(pixels, aux)), aux


class ObjectContext(nn.Module):
    """Pixels (N, C, h, w) and objects (N, C, K) to pixels with their objects' context."""

    def __init__(self, channels: int, key: int) -> None:
        super().__init__()
        self.object_context_block = ObjectAttention(channels, key)
        self.conv_bn_dropout = nn.Sequential(
            nn.Conv2d(2 * channels, channels, 1, bias=False),
            norm_relu(channels),
            nn.Dropout2d(DROPOUT),
        )

    def forward(self, pixels: Tensor, objects: Tensor) -> Tensor:
        context = self.object_context_block(pixels, objects)
        return self.conv_bn_dropout(torch.cat([context, pixels], 1))  # type: ignore[no-any-return]


class ObjectAttention(nn.Module):
    """Scaled dot-product attention from each pixel to the objects."""

    def __init__(self, channels: int, key: int) -> None:
        super().__init__()
        self.f_pixel = nn.Sequential(*_projection(channels, key), *_projection(key, key))
        self.f_object = nn.Sequential(*_projection(channels, key), *_projection(key, key))
        self.f_down = nn.Sequential(*_projection(channels, key))
        self.f_up = nn.Sequential(*_projection(key, channels))

    def forward(self, pixels: Tensor, objects: Tensor) -> Tensor:
        column = objects.unsqueeze(3)
        queries = self.f_pixel(pixels).flatten(2).transpose(1, 2)  # (N, hw, key)
        keys = self.f_object(column).flatten(2)  # (N, key, K)
        values = self.f_down(column).flatten(2).transpose(1, 2)  # (N, K, key)
        relation = (queries @ keys * keys.shape[1] ** -0.5).softmax(2)
        context = (relation @ values).transpose(1, 2).unflatten(2, pixels.shape[-2:])
        return self.f_up(context)  # type: ignore[no-any-return]


def gather_objects(pixels: Tensor, regions: Tensor) -> Tensor:
    """Each class's description (N, C, K): the mean of pixels (N, C, h, w), weighted by its region.

    `regions` (N, K, h, w) are logits; a class's weights are their softmax over all pixels.
    """
    weights = regions.flatten(2).softmax(2)
    return (weights @ pixels.flatten(2).transpose(1, 2)).transpose(1, 2)


def norm_relu(channels: int) -> nn.Sequential:
    """Batch norm and ReLU, one entry of a sequence as in the published checkpoints."""
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))


def _projection(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 1, bias=False), norm_relu(outputs)
