"""Faster R-CNN on torchvision's ResNets: C4 as in Ren 2015, and FPN."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torchvision
from torch import Tensor, nn
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.resnet import ResNet

from triptych.detect.models.detector import Detector
from triptych.detect.models.settings import STRIDES, DetectorSettings

if TYPE_CHECKING:
    from triptych.detect.models.registry import ModelEntry

BODY = "backbone.body."
"""What the names of a backbone's entries begin with in a detector."""
_C4_HEAD = "roi_heads.box_head."


def resnet_c4(entry: ModelEntry, classes: int, settings: DetectorSettings) -> Detector:
    """conv1 to conv4 are shared by RPN and boxes, conv5 is the head of each box.

    Ren 2015 with RoIAlign for RoI pooling; He 2016, appendix A.
    """
    resnet = _resnet(entry.trunk)
    names = _names(resnet, {"layer4": _C4_HEAD})
    width = int(resnet.fc.in_features)
    head = _Conv5(resnet.layer4)
    return Detector(
        _SharedLayers(resnet, width // 2),
        classes,
        settings,
        entry,
        strides=(16,),
        stages={name: stage_of(name) for name in names},
        trunk=names,
        head=head,
        head_channels=width,
    )


def resnet_fpn(entry: ModelEntry, classes: int, settings: DetectorSettings) -> Detector:
    """All of the backbone under a feature pyramid (Lin 2017); torchvision's structure and names."""
    resnet = _resnet(entry.trunk)
    names = _names(resnet, {})
    width = int(resnet.fc.in_features)
    backbone = BackboneWithFPN(
        resnet,
        {f"layer{level + 1}": str(level) for level in range(4)},
        [width // 8, width // 4, width // 2, width],
        settings.fpn_channels,
    )
    return Detector(
        backbone,
        classes,
        settings,
        entry,
        strides=STRIDES,
        stages={name: stage_of(name) for name in names},
        trunk=names,
    )


def stage_of(name: str) -> str:
    """The stage of an entry of a ResNet: `stem` (conv1), `layer1` (conv2_x) to `layer4`."""
    first = name.partition(".")[0]
    return first if first.startswith("layer") else "stem"


def _resnet(name: str) -> ResNet:
    # `get_model` with weights=None draws them; nothing is ever fetched here.
    return cast(ResNet, torchvision.models.get_model(name, weights=None))


def _names(resnet: ResNet, elsewhere: dict[str, str]) -> dict[str, str]:
    """torchvision's name of every entry but the classifier's → its name in the detector."""
    return {
        name: elsewhere.get(name.partition(".")[0], BODY) + name
        for name in resnet.state_dict()
        if not name.startswith("fc.")
    }


class _SharedLayers(nn.Module):
    def __init__(self, resnet: ResNet, out_channels: int) -> None:
        super().__init__()
        self.body = IntermediateLayerGetter(cast(Any, resnet), {"layer3": "0"})
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = self.body(images)
        return maps


class _Conv5(nn.Module):
    def __init__(self, layer4: nn.Module) -> None:
        super().__init__()
        self.layer4 = layer4

    def forward(self, rois: Tensor) -> Tensor:
        """(R, C, 14, 14) → (R, 2C)."""
        pooled: Tensor = self.layer4(rois).mean(dim=(2, 3))
        return pooled
