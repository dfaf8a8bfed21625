"""A small, fast network for driving scenes: an EfficientNet-Lite trunk and a top-down path."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.lite_trunk import LiteTrunk
from triptych.segment.models.resize import resize

WIDTHS = (96, 64, 48, 32, 16)
"""Channels of the top-down path at strides 32, 16, 8, 4 and 2."""


class ConvNormReLU6(nn.Sequential):
    """Convolution, BatchNorm and ReLU6, the block of the trunk (Tan 2019, Lite variant)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class Context(nn.Module):
    """What is around: the map of stride 32 pooled in grids of 1, 2 and 4 cells (Zhao 2017)."""

    def __init__(self, inputs: int, outputs: int, bins: tuple[int, ...] = (1, 2, 4)) -> None:
        super().__init__()
        self.bins = bins
        self.reduce = ConvNormReLU6(inputs, outputs, 1)
        self.levels = nn.ModuleList(nn.Conv2d(outputs, outputs, 1, bias=False) for _ in bins)
        self.join = ConvNormReLU6(outputs, outputs, 3, groups=outputs)
        self.mix = ConvNormReLU6(outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        total = x
        for bins, level in zip(self.bins, self.levels, strict=True):
            total = total + resize(level(F.adaptive_avg_pool2d(x, bins)), like=x)
        return self.mix(self.join(total))  # type: ignore[no-any-return]


class Merge(nn.Module):
    """A finer map of the trunk joins the coarser one from above."""

    def __init__(self, coarse: int, fine: int, outputs: int) -> None:
        super().__init__()
        self.down = (
            nn.Conv2d(coarse, outputs, 1, bias=False) if coarse != outputs else nn.Identity()
        )
        self.side = nn.Sequential(nn.Conv2d(fine, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.refine = ConvNormReLU6(outputs, outputs)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        side = self.side(fine)
        return self.refine(side + resize(self.down(coarse), like=side))  # type: ignore[no-any-return]


class Lite(SegmentationModel):
    """EfficientNet-Lite down to 1/32 and a path back to 1/2, where thin objects still are seen.

    Maps normalised images (N, 3, H, W) to logits (N, classes, H, W) of any size from 32 pixels.
    `variant` is that of the trunk, 0 to 2.
    """

    def __init__(self, classes: int, variant: int = 0) -> None:
        super().__init__()
        self.trunk = LiteTrunk(variant)
        fine = self.trunk.channels
        top, *widths = WIDTHS
        self.context = Context(fine[-1], top)
        self.merges = nn.ModuleList(
            Merge(coarse, side, width)
            for coarse, side, width in zip(
                (top, *widths), reversed(fine[:-1]), widths, strict=False
            )
        )
        self.classify = nn.Conv2d(widths[-1], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        return resize(self.classify(self.features(images)), like=images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        features = self.features(images)
        return {"logits": resize(self.classify(features), like=images), "features": features}

    def features(self, images: Tensor) -> Tensor:
        """The map before the classes, (N, 16, H/2, W/2)."""
        *sides, deepest = self.trunk(images)
        x = self.context(deepest)
        for merge, side in zip(self.merges, reversed(sides), strict=True):
            x = merge(x, side)
        return x  # type: ignore[no-any-return]
