"""A detector for pictures of one size, without what exporters get wrong."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList

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
