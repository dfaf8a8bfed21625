"""A detector for pictures of one size, without what exporters get wrong."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import boxes as box_ops
from torchvision.ops import nms

from triptych.detect.models.detector import Detector
from triptych.inference.pipeline import Size


class DetectorGraph(nn.Module):
    """A picture (1, 3, H, W), 8-bit RGB, to boxes (N, 4), scores (N,) and labels (N,) from 1.

    The steps of `Detector.forward`, but that the size which a picture is resized to is a number:
    where it is traced, torchvision computes it in float32, which may round to a pixel less.
    """

    ratios: Tensor

    def __init__(self, model: Detector, size: Size) -> None:
        """`size` is (height, width) of the picture."""
        super().__init__()
        self.model = model
        batch, _ = model.transform([torch.zeros(3, *size)])
        self.resized: Size = batch.image_sizes[0]
        self.padded: Size = (int(batch.tensors.shape[2]), int(batch.tensors.shape[3]))
        high, wide = (old / new for old, new in zip(size, self.resized, strict=True))
        self.register_buffer("ratios", torch.tensor([wide, high, wide, high]), persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        model = self.model
        image = model.transform.normalize(images[0].float() / 255)[None]
        image = F.interpolate(image, self.resized, mode="bilinear", align_corners=False)
        below, right = (all_ - own for all_, own in zip(self.padded, self.resized, strict=True))
        batch = ImageList(F.pad(image, (0, right, 0, below)), [self.resized])
        features = model.backbone(batch.tensors)
        if isinstance(features, Tensor):
            features = OrderedDict([("0", features)])
        proposals, _ = model.rpn(batch, features)
        found, _ = model.roi_heads(features, proposals, batch.image_sizes)
        return found[0]["boxes"] * self.ratios, found[0]["scores"], found[0]["labels"]


@contextmanager
def never_of_nothing() -> Iterator[None]:
    """While it is on, torchvision's detectors suppress boxes without asking whether there are any.

    As a graph that question is an `If`, of which OpenVINO 2026.4 gives one box of uninitialised
    memory where there are none.
    """
    plain = box_ops.batched_nms
    box_ops.batched_nms = _batched_nms
    try:
        yield
    finally:
        box_ops.batched_nms = plain


def _batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """As `torchvision.ops.batched_nms`: boxes (N, 4) of each of the groups `idxs` (N,) by
    themselves, which are laid side by side. One box more, without area, is in none of them."""
    count = boxes.shape[0]
    one = torch.zeros_like(boxes[:1].sum(dim=0, keepdim=True))
    boxes = torch.cat([boxes, one])
    scores = torch.cat([scores, one[:, 0]])
    groups = torch.cat([idxs.to(boxes), one[:, 0]])
    beside = groups * (boxes.max() + 1)
    kept = nms(boxes + beside[:, None], scores, iou_threshold)
    return torch.masked_select(kept, kept < count)
