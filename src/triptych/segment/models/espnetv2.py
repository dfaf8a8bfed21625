"""ESPNetv2 for segmentation (Mehta 2019, "ESPNetv2", CVPR; decoder as published in EdgeNets).

Modules carry the names of the published checkpoints, so that those load entry by entry.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.segment.models.base import SegmentationModel

ENCODER_WIDTHS = {
    0.5: (16, 32, 64, 128),
    1.0: (32, 64, 128, 256),
    1.5: (32, 96, 192, 384),
    2.0: (32, 128, 256, 512),
}
"""Channels at 1/2, 1/4, 1/8 and 1/16 of the input's resolution by scale (table 1)."""

BRANCHES = 4
DECODER_WIDTHS = (64, 48, 32)
PYRAMID_WIDTH = 16
PYRAMID_SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
SMALLEST_LEVEL = 5  # pixels: a pyramid level is never smaller, whatever its scale


class ConvNorm(nn.Module):
    """Convolution without bias and batch norm; `same` padding at stride 1."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))  # type: ignore[no-any-return]


class ConvNormAct(ConvNorm):
    """The same with a PReLU per channel."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))  # type: ignore[no-any-return]


class NormAct(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(x))  # type: ignore[no-any-return]


class DilatedDepthwise(nn.Module):
    def __init__(self, channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            channels, channels, 3, stride, dilation, dilation, groups=channels, bias=False
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


def dilations(receptive_limit: int) -> list[int]:
    """Dilation of each branch: kernels of 3, 5, 7, … pixels, those above the limit back to 3."""
    sizes = (3 + 2 * branch for branch in range(BRANCHES))
    return sorted((size - 1) // 2 if size <= receptive_limit else 1 for size in sizes)


class EESP(nn.Module):
    """Extremely efficient spatial pyramid (section 3.2): reduce, dilated depthwise, merge.

    Every branch adds the one of the next smaller dilation, against gridding. At stride 2 the
    result is handed back before the residual and the activation: `Downsample` has its own.
    """

    def __init__(self, inputs: int, outputs: int, receptive_limit: int, stride: int = 1) -> None:
        super().__init__()
        width = outputs // BRANCHES
        self.proj_1x1 = ConvNormAct(inputs, width, 1, groups=BRANCHES)
        self.spp_dw = nn.ModuleList(
            DilatedDepthwise(width, stride, dilation) for dilation in dilations(receptive_limit)
        )
        self.conv_1x1_exp = ConvNorm(outputs, outputs, 1, groups=BRANCHES)
        self.br_after_cat = NormAct(outputs)
        # Published checkpoints hold this activation at stride 2 too, where it is not used.
        self.module_act = nn.PReLU(outputs).requires_grad_(stride == 1)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.proj_1x1(x)
        branches = [self.spp_dw[0](reduced)]
        for branch in list(self.spp_dw)[1:]:
            branches.append(branch(reduced) + branches[-1])
        merged: Tensor = self.conv_1x1_exp(self.br_after_cat(torch.cat(branches, 1)))
        if self.stride == 2:
            return merged
        return self.module_act(merged + x)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Strided EESP beside average pooling, plus the shrunken picture itself (figure 3)."""

    def __init__(self, inputs: int, outputs: int, receptive_limit: int) -> None:
        super().__init__()
        self.eesp = EESP(inputs, outputs - inputs, receptive_limit, stride=2)
        self.inp_reinf = nn.Sequential(ConvNormAct(3, 3, 3), ConvNorm(3, outputs, 1))
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, picture: Tensor) -> Tensor:
        halved = torch.cat([_halve(x), self.eesp(x)], 1)
        return self.act(halved + self.inp_reinf(picture))  # type: ignore[no-any-return]


def _halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=2, padding=1)


class Encoder(nn.Module):
    """Features at 1/2, 1/4, 1/8 and 1/16 of the picture's resolution."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.level1 = ConvNormAct(3, widths[0], 3, stride=2)
        self.level2_0 = Downsample(widths[0], widths[1], receptive_limit=13)
        self.level3_0 = Downsample(widths[1], widths[2], receptive_limit=11)
        self.level3 = nn.Sequential(*(EESP(widths[2], widths[2], 9) for _ in range(3)))
        self.level4_0 = Downsample(widths[2], widths[3], receptive_limit=9)
        self.level4 = nn.Sequential(*(EESP(widths[3], widths[3], 7) for _ in range(7)))

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = self.level1(picture)
        shrunk = _halve(_halve(picture))
        quarter = self.level2_0(half, shrunk)
        shrunk = _halve(shrunk)
        eighth = self.level3(self.level3_0(quarter, shrunk))
        shrunk = _halve(shrunk)
        sixteenth = self.level4(self.level4_0(eighth, shrunk))
        return half, quarter, eighth, sixteenth


class Cbr(nn.Module):
    """`ConvNormAct` under the names of the published decoder."""

    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(inputs, outputs, kernel, 1, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.cbr(x)  # type: ignore[no-any-return]


class Br(nn.Module):
    """`NormAct` under the names of the published decoder."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.br = nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.br(x)  # type: ignore[no-any-return]


class PyramidPool(nn.Module):
    """Efficient pyramid pooling: depthwise convolutions at five scales of a thin projection."""

    def __init__(self, inputs: int, width: int, outputs: int, last: bool = False) -> None:
        super().__init__()
        levels = len(PYRAMID_SCALES)
        self.projection_layer = Cbr(inputs, width, 1)
        self.stages = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False) for _ in range(levels)
        )
        self.merge_layer = nn.Sequential(
            Br(levels * width),
            nn.Identity(),  # the published network shuffles here, see MergeLevels
            MergeLevels(levels, width),
            nn.Conv2d(width, outputs, 1, bias=last),
        )
        self.br = nn.Identity() if last else Br(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.projection_layer(x)
        height, width = int(x.shape[-2]), int(x.shape[-1])
        levels = []
        for scale, stage in zip(PYRAMID_SCALES, self.stages, strict=True):
            size = (
                max(math.ceil(height * scale), SMALLEST_LEVEL),
                max(math.ceil(width * scale), SMALLEST_LEVEL),
            )
            if scale < 1:
                levels.append(_resize(stage(_shrink(x, size)), (height, width)))
            elif scale > 1:
                levels.append(_shrink(stage(_resize(x, size)), (height, width)))
            else:
                levels.append(stage(x))
        return self.br(self.merge_layer(torch.cat(levels, 1)))  # type: ignore[no-any-return]


class MergeLevels(Cbr):
    """3×3 convolution over the same channel of every level, as one sum of depthwise ones.

    The published network shuffles the channels level by level into groups and convolves those;
    this is the same sum without the shuffle and without groups too thin to be computed fast.
    """

    def __init__(self, levels: int, width: int) -> None:
        super().__init__(levels * width, width, 3, groups=width)
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        convolution, norm, act = self.cbr
        assert isinstance(convolution, nn.Conv2d)
        kernels = convolution.weight.transpose(0, 1).reshape(-1, 1, 3, 3)
        each = F.conv2d(x, kernels, padding=1, groups=len(kernels))
        # The sum over levels as a convolution with ones: runtimes do that without a copy.
        ones = torch.eye(len(kernels) // self.levels, dtype=x.dtype, device=x.device)
        merged = F.conv2d(each, ones.repeat(1, self.levels)[..., None, None])
        return act(norm(merged))  # type: ignore[no-any-return]


def _shrink(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Adaptive average pooling, written as what it is at the two ratios that are common here."""
    height, width = int(x.shape[-2]), int(x.shape[-1])
    if height % size[0] == 0 and width % size[1] == 0:
        return F.avg_pool2d(x, (height // size[0], width // size[1]))
    if 2 * height == 3 * size[0] and 2 * width == 3 * size[1]:
        # Of 3 pixels the first two and the last two are averaged.
        pairs = x.new_tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
        windows = torch.einsum("ai,bj->abij", pairs, pairs).reshape(4, 1, 3, 3)
        channels = x.shape[1]
        blocks = F.conv2d(x, windows.repeat(channels, 1, 1, 1), stride=3, groups=channels)
        return F.pixel_shuffle(blocks, 2)
    return F.adaptive_avg_pool2d(x, size)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


class GatedSkip(nn.Module):
    """Encoder features for the decoder, each channel weighted by its mean over the picture."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.wt_layer = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1, bias=False), nn.Sigmoid()
        )
        self.expansion_layer = Cbr(inputs, outputs, 3, groups=math.gcd(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.expansion_layer(x) * self.wt_layer(x)  # type: ignore[no-any-return]


class ESPNetv2(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), any H and W from 16.

    `scale` multiplies the encoder's widths: 0.5, 1.0, 1.5 or 2.0. `classes` counts every output;
    the published Cityscapes weights have 20: the 19 train ids and void.
    """

    def __init__(self, scale: float, classes: int) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = widths = ENCODER_WIDTHS[scale]
        pool = min(max(classes // 2, 1), PYRAMID_WIDTH)
        first, second, third = DECODER_WIDTHS
        self.base_net = Encoder(widths)
        self.bu_dec_l1 = PyramidPool(sixteenth, pool, first)
        self.bu_dec_l2 = PyramidPool(first, pool, second)
        self.bu_dec_l3 = PyramidPool(second, pool, third)
        self.bu_dec_l4 = PyramidPool(third, pool, classes, last=True)
        self.merge_enc_dec_l2 = GatedSkip(eighth, first)
        self.merge_enc_dec_l3 = GatedSkip(quarter, second)
        self.merge_enc_dec_l4 = GatedSkip(half, third)
        self.bu_br_l2 = nn.Sequential(nn.BatchNorm2d(first), nn.PReLU(first))
        self.bu_br_l3 = nn.Sequential(nn.BatchNorm2d(second), nn.PReLU(second))
        self.bu_br_l4 = nn.Sequential(nn.BatchNorm2d(third), nn.PReLU(third))

    def forward(self, images: Tensor) -> Tensor:
        half, quarter, eighth, sixteenth = self.base_net(images)
        x = self.bu_dec_l1(sixteenth)
        x = self.bu_dec_l2(self.bu_br_l2(self.merge_enc_dec_l2(eighth) + _like(x, eighth)))
        x = self.bu_dec_l3(self.bu_br_l3(self.merge_enc_dec_l3(quarter) + _like(x, quarter)))
        x = self.bu_dec_l4(self.bu_br_l4(self.merge_enc_dec_l4(half) + _like(x, half)))
        return _like(x, images)


def _like(x: Tensor, other: Tensor) -> Tensor:
    return _resize(x, (other.shape[-2], other.shape[-1]))
