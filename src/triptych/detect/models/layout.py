"""The memory formats in which a detector trains fastest."""

from __future__ import annotations

import torch

from triptych.detect.models.detector import Detector


def placed(model: Detector, device: torch.device) -> Detector:
    """The detector on a device, channels_last; but on a processor not its pyramid and RPN.

    There oneDNN takes 0.50 s in that format for the gradient of a 3x3 kernel between 128 channels
    (8 maps of 80x80, float32, one core with AVX2), and 0.21 s in torch's usual one; elsewhere
    channels_last is as fast or faster.
    """
    model = model.to(device, memory_format=torch.channels_last)
    if device.type == "cpu":
        model.rpn.to(memory_format=torch.contiguous_format)
        if hasattr(model.backbone, "fpn"):
            model.backbone.fpn.to(memory_format=torch.contiguous_format)
    return model
