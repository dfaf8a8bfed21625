"""Hierarchical multi-scale attention (Tao 2020, "Hierarchical Multi-Scale Attention").

A network labels the image at several sizes and says for each pixel how far its prediction there is
to be believed against those of the larger sizes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.hrnet_edges import PublishedEdgeHead
from triptych.segment.models.hrnet_trunk import HRNetTrunk
from triptych.segment.models.ocr import OCRHead
from triptych.segment.models.resize import resize, resize_to
from triptych.segment.models.scales import PUBLISHED_SCALES, TRAINING_SCALES, checked_scales

ATTENTION_CHANNELS = 256

Look = Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]
"""Images (N, 3, h, w) to maps (N, C, h, w) and, if asked for, their attention (N, 1, h, w)."""


class HRNetOCRMultiScale(SegmentationModel):
    """HRNet with OCR and hierarchical multi-scale attention.

    Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), any H and W. In evaluation
    mode it looks at the image in all `scales`, which may be set; cost and memory follow the
    largest one. In training mode it takes TRAINING_SCALES, as the authors did.
    """

    def __init__(
        self,
        classes: int,
        trunk: HRNetTrunk,
        mid: int = 512,
        key: int = 256,
        scales: Iterable[float] = PUBLISHED_SCALES,
    ) -> None:
        super().__init__()
        self.backbone = trunk
        self.ocr = OCRHead(trunk.channels, classes, mid, key)
        self.scale_attn = _attention_head(mid)
        self.edge_head = PublishedEdgeHead(trunk.channels)
        self.scales = tuple(scales)

    @property
    def scales(self) -> tuple[float, ...]:
        """Sizes of the image at inference, relative to its own, ascending."""
        return self._scales

    @scales.setter
    def scales(self, scales: Iterable[float]) -> None:
        self._scales = checked_scales(scales)

    def forward(self, images: Tensor) -> Tensor:
        def look(scaled: Tensor, attend: bool) -> tuple[Tensor, Tensor | None]:
            described, _ = self.ocr.describe(self.backbone(scaled))
            logits = resize(self.ocr.cls_head(described), like=scaled)
            return logits, self._attention(described, scaled) if attend else None

        return fuse(images, self._active_scales(), look)

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """See SegmentationModel. `edges` are those of scale 1, `features` too: OCR's descriptions.

        The published network resizes the edges' probabilities, not their logits: `edges` are the
        logits of what that gives.
        """
        kept: dict[str, Tensor] = {}

        def look(scaled: Tensor, attend: bool) -> tuple[Tensor, Tensor | None]:
            trunk = self.backbone(scaled)
            described, aux = self.ocr.describe(trunk)
            if scaled is images:
                # In full precision: bfloat16 has no probability between 0.996 and 1, and where
                # it rounds to 1 a wrong boundary would teach nothing.
                edges = resize(self.edge_head(trunk).float().sigmoid(), like=scaled)
                kept.update(edges=_logit(edges), features=described)
            maps = resize(torch.cat([self.ocr.cls_head(described), aux], 1), like=scaled)
            return maps, self._attention(described, scaled) if attend else None

        logits, aux = fuse(images, self._active_scales(), look).chunk(2, 1)
        return {"logits": logits, "aux": aux, **kept}

    def boundary_heads(self) -> tuple[nn.Module, ...]:
        return (self.edge_head,)

    def _active_scales(self) -> tuple[float, ...]:
        return TRAINING_SCALES if self.training else self._scales

    def _attention(self, described: Tensor, scaled: Tensor) -> Tensor:
        return resize(self.scale_attn(described), like=scaled)


def fuse(images: Tensor, scales: Iterable[float], look: Look) -> Tensor:
    """What `look` says of the images at all scales, as maps (N, C, H, W) of the images' size.

    From the largest scale to the smallest: attention a at a scale keeps the share a of the maps
    there and 1 - a of what the larger scales say. The two meet at the scale's own size, or at the
    images' size where that is larger.
    """
    fused: Tensor | None = None
    for scale in sorted(scales, reverse=True):
        maps, attention = look(scaled_images(images, scale), fused is not None)
        if fused is None or attention is None:
            fused = maps
        elif scale >= 1:
            fused = attention * maps + (1 - attention) * resize(fused, like=maps)
        else:
            here = resize(attention * maps, like=fused)
            fused = here + (1 - resize(attention, like=fused)) * fused
    assert fused is not None
    return fused


def scaled_images(images: Tensor, scale: float) -> Tensor:
    """Images with sides times `scale`, rounded down, at least one pixel (bilinear, no blur)."""
    if scale == 1:
        return images
    height, width = (max(1, math.floor(int(side) * scale)) for side in images.shape[-2:])
    return resize_to(images, (height, width))


def _logit(probability: Tensor) -> Tensor:
    """As torch.logit with eps 1e-6, which OpenVINO cannot convert."""
    inside = probability.clamp(1e-6, 1 - 1e-6)
    return (inside / (1 - inside)).log()


def _attention_head(channels: int) -> nn.Sequential:
    width = ATTENTION_CHANNELS
    layers: list[tuple[str, nn.Module]] = [
        ("conv0", nn.Conv2d(channels, width, 3, padding=1, bias=False)),
        ("bn0", nn.BatchNorm2d(width)),
        ("re0", nn.ReLU(inplace=True)),
        ("conv1", nn.Conv2d(width, width, 3, padding=1, bias=False)),
        ("bn1", nn.BatchNorm2d(width)),
        ("re1", nn.ReLU(inplace=True)),
        ("conv2", nn.Conv2d(width, 1, 1, bias=False)),
        ("sig", nn.Sigmoid()),
    ]
    return nn.Sequential(OrderedDict(layers))
