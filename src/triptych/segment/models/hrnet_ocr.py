"""HRNetV2 with the OCR head and the edge heads of InverseForm (Yuan 2020; Borse 2021)."""

from __future__ import annotations

from torch import Tensor, nn

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.hrnet_edges import PublishedEdgeHead
from triptych.segment.models.hrnet_trunk import HRNetTrunk
from triptych.segment.models.ocr import OCRHead
from triptych.segment.models.resize import resize


class HRNetOCR(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), any H and W.

    `mid` and `key` are the widths of the OCR head.
    """

    def __init__(self, classes: int, trunk: HRNetTrunk, mid: int = 512, key: int = 256) -> None:
        super().__init__()
        self.backbone = trunk
        self.ocr = OCRHead(trunk.channels, classes, mid, key)
        self.edge_head = PublishedEdgeHead(trunk.channels)
        self.edgeocr_cls_head = nn.Conv2d(mid, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits, _ = self.ocr(self.backbone(images))
        return resize(logits, like=images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """See SegmentationModel. `edges` come from OCR's descriptions of the pixels, as published;
        `aux_edges` from the trunk's features."""
        trunk = self.backbone(images)
        features, aux = self.ocr.describe(trunk)
        found = {
            "logits": self.ocr.cls_head(features),
            "aux": aux,
            "edges": self.edgeocr_cls_head(features),
            "aux_edges": self.edge_head(trunk),
        }
        return {name: resize(x, like=images) for name, x in found.items()} | {"features": features}

    def boundary_heads(self) -> tuple[nn.Module, ...]:
        return self.edge_head, self.edgeocr_cls_head
