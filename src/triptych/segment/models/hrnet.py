"""HRNetV2 with a plain head and the edge heads of InverseForm (Wang 2020; Borse 2021).

Modules carry the names of the published checkpoints, so that those load entry by entry.
"""

from __future__ import annotations

from torch import Tensor, nn

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.hrnet_edges import PublishedEdgeHead
from triptych.segment.models.hrnet_trunk import HRNetTrunk
from triptych.segment.models.ocr import norm_relu
from triptych.segment.models.resize import resize


class HRNet(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), any H and W from 2.

    `hidden` is the head's channels before the classes, by default those of the trunk; `bias`
    whether its convolutions have one.
    """

    def __init__(
        self, classes: int, trunk: HRNetTrunk, hidden: int | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        self.backbone = trunk
        self.aux_head = _head(trunk.channels, trunk.channels, classes, bias=True)
        self.hrhead = nn.Module()
        self.hrhead.last_layer = _head(trunk.channels, hidden or trunk.channels, classes, bias)
        self.edge_head = PublishedEdgeHead(trunk.channels)
        self.edgeocr_cls_head = nn.Conv2d(trunk.channels, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return resize(self._classify(self.backbone(images)), like=images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """See SegmentationModel. `edges` are of one 1×1 convolution, as published; `aux_edges`
        of the edge head that is trained along."""
        features = self.backbone(images)
        found = {
            "logits": self._classify(features),
            "aux": self.aux_head(features),
            "edges": self.edgeocr_cls_head(features),
            "aux_edges": self.edge_head(features),
        }
        return {name: resize(x, like=images) for name, x in found.items()} | {"features": features}

    def boundary_heads(self) -> tuple[nn.Module, ...]:
        return self.edge_head, self.edgeocr_cls_head

    def _classify(self, features: Tensor) -> Tensor:
        return self.hrhead.last_layer(features)  # type: ignore[no-any-return, operator]


def _head(inputs: int, hidden: int, classes: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, hidden, 1, bias=bias),
        norm_relu(hidden),
        nn.Conv2d(hidden, classes, 1, bias=bias),
    )
