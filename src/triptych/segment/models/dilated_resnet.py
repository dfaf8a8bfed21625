"""ResNet that keeps a fine map: its last two stages are dilated instead of strided (Yu 2017)."""

from __future__ import annotations

from typing import Literal

import timm
from torch import nn

CHANNELS = (1024, 2048)
"""Channels of the two maps that `dilated_resnet` returns."""


def dilated_resnet(depth: Literal[50, 101], *, deep_stem: bool = True) -> nn.Module:
    """ResNet (He 2016) of output stride 8 from timm's parts, freshly drawn weights.

    Maps images (N, 3, H, W) to the maps of its last two stages, (N, 1024, H/8, W/8) and
    (N, 2048, H/8, W/8), sizes rounded up. The first block of a dilated stage has half its
    dilation. `deep_stem` begins with three 3x3 convolutions instead of one of 7x7 (ResNet-C,
    He 2019), as the networks do that were published for segmentation.
    """
    trunk: nn.Module = timm.create_model(
        f"resnet{depth}{'c' if deep_stem else ''}",
        pretrained=False,
        features_only=True,
        output_stride=8,
        out_indices=(3, 4),
    )
    return trunk
