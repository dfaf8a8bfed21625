"""The dilated ResNet-50 as a trunk, and torchvision's ImageNet weights for it."""

from __future__ import annotations

from torch import Tensor

from triptych.backbones.sources import IMAGENET_RESNET50
from triptych.errors import UserError, WorkFailed
from triptych.segment.models.base import load_published, published_names
from triptych.segment.models.dilated_resnet import CHANNELS, dilated_resnet
from triptych.segment.models.trunk import Trunk
from triptych.weights import fetch, load

_CLASSIFIER = ("fc.weight", "fc.bias")


class ResNetTrunk(Trunk):
    """ResNet-50 (He 2016) with its plain stem, dilated to an output stride of 8.

    Maps images (N, 3, H, W) to (N, 1024, H/8, W/8) and (N, 2048, H/8, W/8), sizes rounded up.
    """

    channels = CHANNELS

    def __init__(self) -> None:
        super().__init__()
        self.net = dilated_resnet(50, deep_stem=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.net(images)
        return maps

    def load_imagenet(self) -> None:
        """See Trunk. The names are torchvision's; its classifier is left over."""
        try:
            file = fetch(IMAGENET_RESNET50)
        except WorkFailed as error:
            raise WorkFailed(
                f"{error}; put {IMAGENET_RESNET50.file} into a folder named by TRIPTYCH_WEIGHTS, "
                "or --set init=random"
            ) from None
        given = published_names(load(file))
        try:
            load_published(self.net, {k: v for k, v in given.items() if k not in _CLASSIFIER})
        except UserError as error:
            raise UserError(f"{file}: {error}") from None
