"""A small encoder and decoder that learns to segment small frames from scratch within a minute."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.resize import resize

WIDTHS = (16, 32, 64, 128)
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the input's resolution: 0.5 M parameters in all."""


class ConvBlock(nn.Sequential):
    """3×3 convolution, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """Two 3×3 convolutions around a skip (He 2016, the basic block)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvBlock(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


class Tiny(SegmentationModel):
    """Dense 3×3 convolutions down to 1/16, then a top-down path back to 1/4 (as in FPN, Lin 2017).

    Dense convolutions, not depthwise ones: in bfloat16 they are what a processor does fastest.
    Maps normalised images (N, 3, H, W) to logits (N, classes, H, W) of any size from 16 pixels.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = WIDTHS
        self.stem = ConvBlock(3, half, 2)
        self.quarter = nn.Sequential(ConvBlock(half, quarter, 2), Residual(quarter))
        self.eighth = nn.Sequential(ConvBlock(quarter, eighth, 2), Residual(eighth))
        self.sixteenth = nn.Sequential(ConvBlock(eighth, sixteenth, 2), Residual(sixteenth))
        self.from_sixteenth = nn.Conv2d(sixteenth, eighth, 1)
        self.from_eighth = nn.Conv2d(eighth, quarter, 1)
        self.refine = ConvBlock(quarter, quarter)
        self.classify = nn.Conv2d(quarter, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        quarter = self.quarter(self.stem(images))
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        eighth = eighth + resize(self.from_sixteenth(sixteenth), like=eighth)
        quarter = quarter + resize(self.from_eighth(eighth), like=quarter)
        return resize(self.classify(self.refine(quarter)), like=images)
