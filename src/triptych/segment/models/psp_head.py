"""Heads from a feature map to classes: pyramid pooling (Zhao 2017) and one plain convolution."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.errors import UserError
from triptych.segment.models.resize import resize

DROPOUT = 0.1
"""Share of the channels that are dropped before the classes in training."""


class ConvNormReLU(nn.Sequential):
    """Convolution that keeps the size, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
                norm=nn.BatchNorm2d(outputs),
                relu=nn.ReLU(inplace=True),
            )
        )


class PSPHead(nn.Module):
    """Pyramid pooling (Zhao 2017): every pixel sees the averages of ever finer grids of the map.

    Maps features (N, in_channels, h, w) to logits (N, classes, h, w). `mid` is the number of
    channels of each grid and of the map before the classes, `bins` how many cells a grid has on
    a side.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        mid: int = 512,
        bins: tuple[int, ...] = (1, 2, 3, 6),
    ) -> None:
        super().__init__()
        self.bins = bins
        self.levels = nn.ModuleList(ConvNormReLU(in_channels, mid, 1) for _ in bins)
        self.fuse = ConvNormReLU(in_channels + len(bins) * mid, mid, 3)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classify = nn.Conv2d(mid, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.logits(self.context(features))

    def context(self, features: Tensor) -> Tensor:
        """The map before the classes, (N, mid, h, w).

        Raises UserError in training for a batch of one picture, of which a grid of one cell has a
        single value for each channel: batch norm cannot train on that.
        """
        if self.training and features.shape[0] == 1 and 1 in self.bins:
            raise UserError(
                "pyramid pooling cannot train on batches of one picture: --set batch_size=2 or more"
            )
        pooled = [
            resize(level(F.adaptive_avg_pool2d(features, bins)), like=features)
            for bins, level in zip(self.bins, self.levels, strict=True)
        ]
        fused: Tensor = self.fuse(torch.cat([features, *pooled], 1))
        return fused

    def logits(self, context: Tensor) -> Tensor:
        """Logits (N, classes, h, w) of the map before the classes."""
        result: Tensor = self.classify(self.dropout(context))
        return result


class FCNHead(nn.Module):
    """One 3x3 convolution before the classes (Long 2015), for a prediction that is trained along.

    Maps features (N, in_channels, h, w) to logits (N, classes, h, w).
    """

    def __init__(self, in_channels: int, classes: int, mid: int = 256) -> None:
        super().__init__()
        self.refine = ConvNormReLU(in_channels, mid, 3)
        self.dropout = nn.Dropout2d(DROPOUT)
        self.classify = nn.Conv2d(mid, classes, 1)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.classify(self.dropout(self.refine(features)))
        return logits
