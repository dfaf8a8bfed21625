"""HRNetV2 (Wang 2020, "Deep High-Resolution Representation Learning", TPAMI): the trunk."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.hrnet import HighResolutionModule, HighResolutionNet
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.segment.models.resize import resize


class HRNetTrunk(HighResolutionNet):  # type: ignore[misc]
    """timm's HRNet without its classifier, its four resolutions joined at the finest.

    Maps images (N, 3, H, W) to (N, 15 * width, H/4, W/4), sides rounded up, for any H and W.
    `width` is the channels of the finest resolution, doubled at each coarser one; `blocks` the
    residual blocks of a branch; `modules` the multi-resolution modules of stages 2 to 4. With
    `halved`, a 2×2 convolution of stride 2 comes first and all maps have half the size; then
    images need at least 2 pixels a side.
    """

    def __init__(
        self, width: int, blocks: int, modules: tuple[int, int, int], halved: bool = False
    ) -> None:
        super().__init__(_configuration(width, blocks, modules), head="")
        self.channels = 15 * width
        self.conv0 = nn.Conv2d(3, 3, 2, 2, bias=False) if halved else None
        for stage in (self.stage2, self.stage3, self.stage4):
            for index, module in enumerate(stage):
                stage[index] = BilinearFusion(module)

    def forward(self, images: Tensor) -> Tensor:
        x = images if self.conv0 is None else self.conv0(images)
        finest, *coarser = self.forward_features(x)
        return torch.cat([finest, *(resize(each, like=finest) for each in coarser)], 1)


class BilinearFusion(nn.Module):
    """A multi-resolution module as segmentation networks have it.

    timm's, made for classification, brings coarser maps to a finer resolution by repeating pixels,
    and fits sizes divisible by 32 only; in the segmentation networks they are interpolated.
    """

    def __init__(self, module: HighResolutionModule) -> None:
        super().__init__()
        self.branches = module.branches
        self.fuse_layers = module.fuse_layers
        for target, sources in enumerate(self.fuse_layers):
            for source in range(target + 1, len(sources)):
                sources[source] = sources[source][:2]  # convolution and norm, not timm's upsampling

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target, sources in enumerate(self.fuse_layers):
            total = sources[0](maps[0])
            for source in range(1, len(maps)):
                x = sources[source](maps[source])
                total = total + (resize(x, like=maps[target]) if source > target else x)
            fused.append(F.relu(total))
        return fused


def _configuration(width: int, blocks: int, modules: tuple[int, int, int]) -> dict[str, Any]:
    """timm's description of an HRNet."""

    def stage(branches: int, count: int, kind: str, channels: int) -> dict[str, Any]:
        return {
            "num_modules": count,
            "num_branches": branches,
            "block_type": kind,
            "num_blocks": (blocks,) * branches,
            "num_channels": tuple(channels * 2**branch for branch in range(branches)),
            "fuse_method": "SUM",
        }

    return {
        "stem_width": 64,
        "stage1": stage(1, 1, "BOTTLENECK", 64),
        "stage2": stage(2, modules[0], "BASIC", width),
        "stage3": stage(3, modules[1], "BASIC", width),
        "stage4": stage(4, modules[2], "BASIC", width),
    }
