"""DABNet (Li 2019, "Depth-wise Asymmetric Bottleneck for Real-time Semantic Segmentation", BMVC).

Modules carry the names of the published checkpoints, so that those load entry by entry.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.resize import resize

BLOCK_1_DILATIONS = (2, 2, 2)
BLOCK_2_DILATIONS = (4, 4, 8, 8, 16, 16)


class NormAct(nn.Module):
    """Batch norm (its epsilon is 1e-3, not the usual 1e-5) and a PReLU per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels, eps=1e-3)
        self.acti = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.acti(self.bn(x))  # type: ignore[no-any-return]


class Conv(nn.Module):
    """Convolution without bias, its padding keeping the size at stride 1."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        padding = (dilation * (kernel[0] // 2), dilation * (kernel[1] // 2))
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding, dilation, groups=groups, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class ConvNormAct(Conv):
    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, dilation, groups)
        self.bn_prelu = NormAct(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn_prelu(super().forward(x))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """Depthwise asymmetric bottleneck (figure 3c): 3×1 and 1×3, near and dilated, side by side."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        half = channels // 2
        self.bn_relu_1 = NormAct(channels)
        self.conv3x3 = ConvNormAct(channels, half, (3, 3))
        self.dconv3x1 = ConvNormAct(half, half, (3, 1), groups=half)
        self.dconv1x3 = ConvNormAct(half, half, (1, 3), groups=half)
        self.ddconv3x1 = ConvNormAct(half, half, (3, 1), dilation=dilation, groups=half)
        self.ddconv1x3 = ConvNormAct(half, half, (1, 3), dilation=dilation, groups=half)
        self.bn_relu_2 = NormAct(half)
        self.conv1x1 = Conv(half, channels, (1, 1))

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.conv3x3(self.bn_relu_1(x))
        near = self.dconv1x3(self.dconv3x1(reduced))
        far = self.ddconv1x3(self.ddconv3x1(reduced))
        return self.conv1x1(self.bn_relu_2(near + far)) + x  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Strided convolution, beside max pooling where that leaves channels for it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pooled = inputs < outputs
        self.conv3x3 = Conv(inputs, outputs - inputs if self.pooled else outputs, (3, 3), stride=2)
        self.bn_prelu = NormAct(outputs)

    def forward(self, x: Tensor) -> Tensor:
        halved = self.conv3x3(x)
        if self.pooled:
            # `ceil_mode` only matters at odd sizes, where the convolution rounds up as well.
            halved = torch.cat([halved, F.max_pool2d(x, 2, ceil_mode=True)], 1)
        return self.bn_prelu(halved)  # type: ignore[no-any-return]


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)


class DABNet(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), any H and W from 8."""

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.init_conv = nn.Sequential(
            ConvNormAct(3, 32, (3, 3), stride=2),
            ConvNormAct(32, 32, (3, 3)),
            ConvNormAct(32, 32, (3, 3)),
        )
        self.bn_prelu_1 = NormAct(32 + 3)
        self.downsample_1 = Downsample(32 + 3, 64)
        self.DAB_Block_1 = _block("DAB_Module_1_", 64, BLOCK_1_DILATIONS)
        self.bn_prelu_2 = NormAct(2 * 64 + 3)
        self.downsample_2 = Downsample(2 * 64 + 3, 128)
        self.DAB_Block_2 = _block("DAB_Module_2_", 128, BLOCK_2_DILATIONS)
        self.bn_prelu_3 = NormAct(2 * 128 + 3)
        self.classifier = nn.Sequential(Conv(2 * 128 + 3, classes, (1, 1)))

    def forward(self, images: Tensor) -> Tensor:
        half = _halve(images)
        quarter = _halve(half)
        eighth = _halve(quarter)
        x = self.bn_prelu_1(torch.cat([self.init_conv(images), half], 1))
        first = self.downsample_1(x)
        x = self.bn_prelu_2(torch.cat([self.DAB_Block_1(first), first, quarter], 1))
        second = self.downsample_2(x)
        x = self.bn_prelu_3(torch.cat([self.DAB_Block_2(second), second, eighth], 1))
        return resize(self.classifier(x), like=images)


def _block(prefix: str, channels: int, dilations: tuple[int, ...]) -> nn.Sequential:
    block = nn.Sequential()
    for index, dilation in enumerate(dilations):
        block.add_module(f"{prefix}{index}", Bottleneck(channels, dilation))
    return block
