"""What detecting in a video and in pictures share: detectors, drawing, counting."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from triptych.data.labelled import Image
from triptych.detect.detections import Detections, Predictor
from triptych.detect.draw import draw_boxes
from triptych.draw import Panel, Sheet
from triptych.predicting import Clock, file_names

STAGES = ("decode", "model", "draw", "encode")
"""Of a pipeline that detects; what its `Clock` tells apart."""

Found = Detections
"""What one detector finds in one frame, whose boxes and scores are numbers."""


class Drawing:
    """One or more detectors that look at the same frames.

    `find` and `draw` may be called by `workers` threads at once; `note` must be called in order.
    """

    def __init__(
        self, predictors: Sequence[Predictor], shows_input: bool, min_score: float, clock: Clock
    ) -> None:
        self.predictors = list(predictors)
        names = [each.name for each in predictors]
        self.folders = file_names(names)
        """A name for each detector's files."""
        self.names = names if len(set(names)) == len(names) else self.folders
        self.workers = 2
        """One detects, which is all that PyTorch can do at a time, while the other draws."""
        self.frames = 0
        self._seat = threading.Semaphore(1)
        self._shows_input, self._min_score, self._clock = shows_input, min_score, clock
        # A class has one colour whichever detector finds it, so each is drawn by its name.
        self._classes = tuple(dict.fromkeys(name for each in predictors for name in each.classes))
        places = {name: label for label, name in enumerate(self._classes)}
        self._labels = [
            np.array([places[name] for name in each.classes], np.int64) for each in predictors
        ]
        self._objects = [np.zeros(len(each.classes), np.int64) for each in predictors]
        self._with_objects = [0 for _ in predictors]

    def find(self, image: Image, key: str) -> list[Found]:
        """What every detector finds in one picture (H, W, 3)."""
        with self._seat, self._clock("model"):
            return [each.predict([image], [key])[0].finite() for each in self.predictors]

    def sheet(self, title: str, height: int, width: int) -> Sheet:
        """The sheet for frames of that size; `title` names the input."""
        first = [Panel(title)] if self._shows_input else []
        return Sheet([*first, *(Panel(name) for name in self.names)], height, width)

    def draw(self, image: Image, found: Sequence[Found], sheet: Sheet, canvas: Image) -> None:
        """Draw one frame, and the names of the detectors below it, onto a canvas of the sheet."""
        first = int(self._shows_input)
        if self._shows_input:
            sheet.view(canvas, 0)[:] = image
        for index, (each, labels) in enumerate(zip(found, self._labels, strict=True)):
            named = Detections(each.boxes, each.scores, labels[each.labels])
            boxed = draw_boxes(image, self._classes, named, score=self._min_score)
            sheet.view(canvas, first + index)[:] = boxed
        sheet.explain(canvas, [None] * (first + len(found)))

    def note(self, found: Sequence[Found]) -> None:
        """Count the objects of a frame that are drawn."""
        self.frames += 1
        for number, each in enumerate(found):
            shown = each.labels[each.scores >= self._min_score]
            self._objects[number] += np.bincount(shown, minlength=len(self._objects[number]))
            self._with_objects[number] += bool(len(shown))

    def describe_models(self) -> list[dict[str, Any]]:
        """Name, and how many objects of each class were drawn over all frames, for the summary."""
        return [
            {
                "name": name,
                "runtime": getattr(predictor, "runtime", None),
                "objects": dict(zip(predictor.classes, counts.tolist(), strict=True)),
                "frames_with_objects": frames,
            }
            for name, predictor, counts, frames in zip(
                self.names, self.predictors, self._objects, self._with_objects, strict=True
            )
        ]
