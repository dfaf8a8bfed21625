"""A detector of this project, ready to find objects in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from triptych.data.labelled import Image
from triptych.detect.detections import Detections
from triptych.detect.models.detector import Detector, Prediction

RUNTIME = "torch float32"


class NetworkPredictor:
    """A `Predictor`: a detector in float32, in PyTorch, on the device where its weights are."""

    def __init__(self, name: str, classes: Sequence[str], model: Detector) -> None:
        """`model` is used as it stands whenever asked, and gets its mode back afterwards."""
        self.name = name
        self.classes = tuple(classes)
        self.model = model
        self.runtime = RUNTIME

    def predict(self, images: Sequence[Image], keys: Sequence[str]) -> list[Detections]:
        """Detections in RGB pictures (H, W, 3) uint8 of any sizes; `keys` are not needed."""
        device = next(self.model.parameters()).device
        training = self.model.training
        self.model.eval()
        try:
            with torch.no_grad():
                pictures = [as_input(image).to(device) for image in images]
                found = cast(list[Prediction], self.model(pictures))
        finally:
            self.model.train(training)
        return [as_detections(each) for each in found]


def as_input(image: Image) -> Tensor:
    """A picture (H, W, 3) uint8 as detectors take it: (3, H, W) float32 from 0 to 1."""
    return torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1).float() / 255


def as_detections(found: Prediction) -> Detections:
    """A detector counts its classes from 1, since 0 is the background; data sets count from 0."""
    return Detections(
        found["boxes"].cpu().numpy().astype(np.float32),
        found["scores"].cpu().numpy().astype(np.float64),
        found["labels"].cpu().numpy().astype(np.int64) - 1,
    )
