"""Two heads on any trunk: what a comparison of the heads alone needs."""

from __future__ import annotations

from torch import Tensor

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.ocr import OCRHead
from triptych.segment.models.psp_head import FCNHead, PSPHead
from triptych.segment.models.resize import resize
from triptych.segment.models.trunk import Trunk


class PSPOnTrunk(SegmentationModel):
    """Pyramid pooling (Zhao 2017) on a trunk's last map and, in training, an auxiliary head.

    Maps normalised images (N, 3, H, W) to logits (N, classes, H, W). `mid` is the number of
    channels before the classes, in both heads.
    """

    def __init__(self, classes: int, trunk: Trunk, mid: int = 512) -> None:
        super().__init__()
        self.trunk = trunk
        self.aux = FCNHead(trunk.channels[-1], classes, mid)
        self.head = PSPHead(trunk.channels[-1], classes, mid)

    def forward(self, images: Tensor) -> Tensor:
        return resize(self.head(self.trunk(images)[-1]), like=images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        deepest = self.trunk(images)[-1]
        features = self.head.context(deepest)
        return {
            "logits": resize(self.head.logits(features), like=images),
            "aux": resize(self.aux(deepest), like=images),
            "features": features,
        }


class OCROnTrunk(SegmentationModel):
    """Object-contextual representations (Yuan 2020) on a trunk's last map.

    The auxiliary prediction is part of the head: it says where the objects may be. Maps
    normalised images (N, 3, H, W) to logits (N, classes, H, W). `mid` is the number of channels
    before the classes, `key` of those in which pixels and objects are compared.
    """

    def __init__(self, classes: int, trunk: Trunk, mid: int = 512, key: int = 256) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = OCRHead(trunk.channels[-1], classes, mid, key)

    def forward(self, images: Tensor) -> Tensor:
        return resize(self.head(self.trunk(images)[-1])[0], like=images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        features, aux = self.head.describe(self.trunk(images)[-1])
        return {
            "logits": resize(self.head.cls_head(features), like=images),
            "aux": resize(aux, like=images),
            "features": features,
        }
