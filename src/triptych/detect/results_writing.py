"""Our own detections as COCO results, the file that `coco_results` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from triptych.detect.detections import Detections

RESULTS = "detections"
"""Name of such a file, without its ending."""


class ResultsWriter:
    """A file of the detections of one detector in many pictures.

    `{"annotations": [{"image_id", "category_id", "bbox": [x, y, width, height], "score"}],
    "categories": [{"id", "name"}], "images": [{"id", "file_name", "height", "width"}]}`, numbers
    from 1, a line a detection. A frame of a video has `seconds`, and NAME/000012 as its file name.
    Reading the file gives the same boxes and scores, as far as float32 tells them apart.

    A context manager; the file is whole once the block ends well.
    """

    def __init__(self, file: Path, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._images: list[str] = []
        # Straight to the disk: there may be a hundred in each frame of a long video.
        self._file = file.open("w", encoding="utf-8")
        self._file.write('{"annotations": [')
        self._between = "\n"

    def add(
        self,
        file_name: str,
        height: int,
        width: int,
        found: Detections,
        seconds: float | None = None,
    ) -> None:
        """Take down what was found in one picture, whose boxes and scores are numbers."""
        number = len(self._images) + 1
        image = {"id": number, "file_name": file_name, "height": height, "width": width}
        self._images.append(json.dumps(image if seconds is None else {**image, "seconds": seconds}))
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            # The fewest digits that tell a float32 from its neighbours.
            x1, y1, x2, y2 = (float(str(corner)) for corner in box)
            entry: dict[str, Any] = {
                "image_id": number,
                "category_id": int(label) + 1,
                "bbox": [x1, y1, round(max(x2 - x1, 0), 9), round(max(y2 - y1, 0), 9)],
                "score": float(str(score.astype("float32"))),
            }
            self._file.write(self._between + json.dumps(entry))
            self._between = ",\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:
            if error is None:
                named = [json.dumps({"id": n, "name": c}) for n, c in enumerate(self._classes, 1)]
                self._file.write(f'\n],\n"categories": [\n{_lines(named)}\n],\n')
                self._file.write(f'"images": [\n{_lines(self._images)}\n]}}\n')


def _lines(entries: Sequence[str]) -> str:
    return ",\n".join(entries)
