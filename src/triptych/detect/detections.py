"""What a detector finds in a picture, and what evaluating needs of what finds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.data.boxes import Boxes
from triptych.data.labelled import Image


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections in one picture, M of them, in any order; M may be 0."""

    boxes: Boxes
    """(M, 4) as in `triptych.data.boxes`; they may reach over the picture's edge."""
    scores: NDArray[np.float64]
    """(M,): how sure the detector is; only their order counts."""
    labels: NDArray[np.int64]
    """Index into the detector's classes, (M,)."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        for name, kind in (("boxes", np.float32), ("scores", np.float64), ("labels", np.int64)):
            array = getattr(self, name)
            shape = (count, 4) if name == "boxes" else (count,)
            if array.shape != shape or array.dtype != kind:
                raise ValueError(
                    f"{name} must be {np.dtype(kind)} {shape}, not {array.dtype} {array.shape}"
                )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Detections:
        """These, in this order."""
        return Detections(self.boxes[which], self.scores[which], self.labels[which])

    def finite(self) -> Detections:
        """Those whose box and score are numbers; a diverged model gives others."""
        return self.take(np.isfinite(self.boxes).all(axis=1) & np.isfinite(self.scores))

    def limited(self, score_floor: float, max_detections: int) -> Detections:
        """Those with at least this score, the `max_detections` with the highest, highest first.

        Of equal scores the earlier one is first.
        """
        order = np.argsort(-self.scores, kind="stable")[:max_detections]
        return self.take(order[self.scores[order] >= score_floor])


def no_detections() -> Detections:
    """Of a picture in which nothing was found."""
    return Detections(np.zeros((0, 4), np.float32), np.zeros(0), np.zeros(0, np.int64))


class Predictor(Protocol):
    """A detector ready to run on this machine, or another program's detections."""

    name: str
    classes: tuple[str, ...]
    """Names by label."""

    def predict(self, images: Sequence[Image], keys: Sequence[str]) -> list[Detections]:
        """Detections in RGB pictures (H, W, 3), whose sizes may differ, in pixels of the picture.

        `keys` are the pictures' keys in their data set, for predictors that are files. Raises
        UserError where a picture has no detections on record.
        """
        ...
