"""PSPNet (Zhao 2017) as mmsegmentation trained it: a dilated ResNet with pyramid pooling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from triptych.segment.models.base import SegmentationModel, published_names
from triptych.segment.models.dilated_resnet import CHANNELS, dilated_resnet
from triptych.segment.models.mmseg_names import from_mmseg
from triptych.segment.models.psp_head import FCNHead, PSPHead
from triptych.segment.models.resize import resize


class PSPNet(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), whatever H and W.

    Its grids are as coarse as the picture is large, so its receptive field is the whole picture.
    """

    def __init__(self, depth: Literal[50, 101], classes: int) -> None:
        super().__init__()
        self.backbone = dilated_resnet(depth)
        self.head = PSPHead(CHANNELS[1], classes)
        self.auxiliary = FCNHead(CHANNELS[0], classes)

    def forward(self, images: Tensor) -> Tensor:
        return resize(self.head(self.backbone(images)[1]), like=images)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """`logits`, `aux` from the stage before the last, and `features` (N, 512, H/8, W/8)."""
        earlier, last = self.backbone(images)
        features = self.head.context(last)
        return {
            "logits": resize(self.head.logits(features), like=images),
            "aux": resize(self.auxiliary(earlier), like=images),
            "features": features,
        }

    def load_published(self, state_dict: Mapping[str, object]) -> None:
        """Load a checkpoint of mmsegmentation; see `SegmentationModel.load_published`."""
        super().load_published(from_mmseg(published_names(state_dict)))
