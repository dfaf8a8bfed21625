"""What one training picture costs a detector: multiply-accumulates."""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.data.boxes import DetectionData
from triptych.detect.models.detector import Detector
from triptych.training.cost import evaluating, macs_of

SHAPES = 99
"""Pictures that are looked at to find one of median shape."""


def picture_macs(model: Detector, height: int, width: int) -> int:
    """Multiply-accumulates of a training picture of that size in pixels, forwards.

    Of backbone, pyramid and RPN, with the picture resized and padded as alone in a batch; of the
    head with as many RoIs as enter its loss (`box_samples`; of a picture with few proposals it may
    be less), since what it is given in evaluation depends on picture and weights. RoIAlign and
    non-maximum suppression are not counted.
    """
    device = next(model.parameters()).device
    picture = torch.zeros(3, height, width, device=device)
    settings, head = model.settings, model.roi_heads

    def maps() -> None:
        batch, _ = model.transform([picture])
        found = model.backbone(batch.tensors)
        model.rpn.head([found] if isinstance(found, Tensor) else list(found.values()))

    def one_roi() -> None:
        shape = (1, int(model.backbone.out_channels), settings.pool, settings.pool)
        head.box_predictor(head.box_head(torch.zeros(shape, device=device)))

    with evaluating(model):
        return macs_of(maps) + settings.box_samples * macs_of(one_roi)


def median_shape(data: DetectionData) -> tuple[int, int]:
    """Height and width of the picture whose width over height is the median of a split's.

    Of `SHAPES` pictures at most, evenly over the split.
    """
    count = min(SHAPES, len(data))
    indices = [number * len(data) // count for number in range(count)]
    shapes = [data.load(index)[0].shape[:2] for index in indices]
    shapes.sort(key=lambda shape: (shape[1] / shape[0], shape))
    height, width = shapes[(count - 1) // 2]
    return int(height), int(width)
