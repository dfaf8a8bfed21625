"""Two heads on one trunk: what a comparison of the heads alone needs."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.lite_trunk import LiteTrunk
from triptych.segment.models.ocr import OCRHead
from triptych.segment.models.psp_head import FCNHead, PSPHead

STRIDE = 16
"""Of the last map; in the last stage of the trunk dilation takes the place of stride."""
MID, KEY = 128, 64
"""Channels before the classes in both heads, and those in which OCR compares."""


class LitePSP(SegmentationModel):
    """EfficientNet-Lite with pyramid pooling (Zhao 2017) and, in training, an auxiliary head.

    Maps normalised images (N, 3, H, W) to logits (N, classes, H, W).
    """

    def __init__(self, classes: int, variant: int = 0) -> None:
        super().__init__()
        self.trunk = LiteTrunk(variant, STRIDE)
        self.aux = FCNHead(self.trunk.channels[-1], classes, MID)
        self.head = PSPHead(self.trunk.channels[-1], classes, MID)

    def forward(self, images: Tensor) -> Tensor:
        return _resize(self.head(self.trunk(images)[-1]), images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        deepest = self.trunk(images)[-1]
        features = self.head.context(deepest)
        return {
            "logits": _resize(self.head.logits(features), images),
            "aux": _resize(self.aux(deepest), images),
            "features": features,
        }


class LiteOCR(SegmentationModel):
    """EfficientNet-Lite with object-contextual representations (Yuan 2020).

    The auxiliary prediction is part of the head: it says where the objects may be. Maps
    normalised images (N, 3, H, W) to logits (N, classes, H, W).
    """

    def __init__(self, classes: int, variant: int = 0) -> None:
        super().__init__()
        self.trunk = LiteTrunk(variant, STRIDE)
        self.head = OCRHead(self.trunk.channels[-1], classes, MID, KEY)

    def forward(self, images: Tensor) -> Tensor:
        return _resize(self.head(self.trunk(images)[-1])[0], images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        features, aux = self.head.describe(self.trunk(images)[-1])
        return {
            "logits": _resize(self.head.cls_head(features), images),
            "aux": _resize(aux, images),
            "features": features,
        }


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
