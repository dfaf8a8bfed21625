"""A detector of this project, ready to find objects in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from triptych.data.labelled import Image
from triptych.detect.augment import padded
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
        """Detections in RGB pictures (H, W, 3) uint8 of any sizes; `keys` are not needed.

        What is found in a picture does not depend on the others. A batch is padded to one shape,
        and near padding a detector sees other things than at an edge: so only pictures that have
        the same shape when they are padded alone are one batch.
        """
        device = next(self.model.parameters()).device
        together: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            shape = padded(image.shape[0], image.shape[1], self.model.settings)
            together.setdefault(shape, []).append(index)
        training = self.model.training
        self.model.eval()
        found: dict[int, Detections] = {}
        try:
            with torch.no_grad():
                for members in together.values():
                    pictures = [as_input(images[index]).to(device) for index in members]
                    batch = cast(list[Prediction], self.model(pictures))
                    found |= zip(members, map(as_detections, batch), strict=True)
        finally:
            self.model.train(training)
        return [found[index] for index in range(len(images))]


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
