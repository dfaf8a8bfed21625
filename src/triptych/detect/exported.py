"""Files of detectors that `triptych export` wrote, run in their own runtimes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image
from triptych.detect.detections import Detections
from triptych.detect.items import Rules
from triptych.errors import UserError
from triptych.exporting import open_session

OUTPUTS = ("boxes", "scores", "labels")


class ExportedPredictor:
    """A `Predictor` that runs an exported file on all cores of the processor.

    Pictures of another size than the file's are resized to it, whatever their shape, and boxes
    back. Raises UserError for a file that no `triptych export` wrote of a detector.
    """

    def __init__(self, file: Path) -> None:
        opened = open_session(file, OUTPUTS)
        self._run = opened.run
        told = opened.metadata
        try:
            width, height = map(int, told["size"].split("x"))
            self._size = height, width
            self.size = told["size"]
            """WIDTHxHEIGHT to which pictures are resized for it."""
            self.classes = tuple(map(str, json.loads(told["classes"])))
            self.rules = Rules(
                score_floor=float(told["score_floor"]), max_detections=int(told["max_detections"])
            )
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(
                f"{file}: says nothing of a detector's classes; models are files that "
                "`triptych export` wrote"
            ) from error
        self.name = file.name
        self.runtime = f"{file.suffix[1:].lower()} file, float32"

    def predict(self, images: Sequence[Image], keys: Sequence[str]) -> list[Detections]:
        """Detections in RGB pictures (H, W, 3) uint8 of any sizes; `keys` are not needed."""
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Detections:
        height, width = self._size
        there = image.shape[0] / height, image.shape[1] / width
        if image.shape[:2] != self._size:
            shrinks = max(there) > 1
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
        found = as_detections(self._run(as_file_input(image)))
        back = np.array([there[1], there[0], there[1], there[0]], np.float32)
        return Detections(found.boxes * back, found.scores, found.labels)


def as_file_input(image: Image) -> NDArray[np.uint8]:
    """A picture (H, W, 3) as exported detectors take it: (1, 3, H, W)."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def as_detections(outputs: Sequence[NDArray[Any]]) -> Detections:
    """What an exported detector gives, with labels from 0 as data sets count them."""
    boxes, scores, labels = outputs
    return Detections(
        boxes.astype(np.float32), scores.astype(np.float64), labels.astype(np.int64) - 1
    )
