"""Average precision from matched detections, for any choice of images."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from triptych.detect.matching import FALSE, IGNORED, TRUE, Matches

Interpolation = Literal["area", "11-point", "101-point"]

INTERPOLATIONS: dict[Interpolation, str] = {
    "area": "area under the precision made monotone, at every recall reached (VOC from 2010 on)",
    "11-point": "mean of the highest precision from recall 0, 0.1, …, 1 on (VOC 2007)",
    "101-point": "mean of the highest precision from recall 0, 0.01, …, 1 on (COCO)",
}

_RECALLS = {"11-point": np.arange(0.0, 1.1, 0.1), "101-point": np.linspace(0.0, 1.0, 101)}
"""As everybody's programs have them: in floating point the fourth of the eleven is a little more
than 0.3, the seventh than 0.6, the eighth than 0.7, and a recall of just that does not reach it."""

Values = NDArray[np.float64]


class AveragePrecision:
    """AP of every class as a function of how often each image counts.

    Only a right detection moves the recall, and precision is highest just after one, so it is
    looked at there only: a resample of a few hundred images takes about a millisecond.
    """

    def __init__(self, matches: Matches, interpolation: Interpolation) -> None:
        """`matches` at one threshold; see `Matches.at`."""
        classes = matches.positives.shape[1]
        self.interpolation = interpolation
        counted = np.flatnonzero(matches.state != IGNORED)
        self._image = matches.image[counted]
        self._false = (matches.state[counted] == FALSE).astype(np.float64)
        self._true = 1 - self._false
        true = np.flatnonzero(matches.state[counted] == TRUE)
        label = matches.label[counted]
        self._positives = matches.positives.astype(np.float64)
        starts = np.searchsorted(label, np.arange(classes))
        bounds = np.searchsorted(label[true], np.arange(classes + 1))
        self._classes = [
            (number, true[bounds[number] : bounds[number + 1]], int(starts[number]))
            for number in range(classes)
        ]

    def __call__(self, weights: Values | None = None) -> Values:
        """AP by class (classes,), each image counted `weights` (images,) times; NaN for a class of
        which no object counts. A detection of an image that counts twice is there twice."""
        if weights is None:
            weights = np.ones(len(self._positives))
        each = weights[self._image]
        false = np.concatenate([[0.0], np.cumsum(each * self._false)])
        true = np.concatenate([[0.0], np.cumsum(each * self._true)])
        total = weights @ self._positives
        result = np.full(len(total), np.nan)
        for number, rows, start in self._classes:
            if total[number] > 0:
                right, wrong = true[rows + 1] - true[start], false[rows + 1] - false[start]
                result[number] = self._average(right / total[number], _share(right, wrong))
        return result

    def _average(self, recall: Values, precision: Values) -> float:
        envelope = np.maximum.accumulate(precision[::-1])[::-1]
        if self.interpolation == "area":
            return float(np.diff(recall, prepend=0.0) @ envelope)
        levels = _RECALLS[self.interpolation]
        reached = np.searchsorted(recall, levels, side="left")
        return float(np.append(envelope, 0.0)[reached].mean())


def _share(right: Values, wrong: Values) -> Values:
    return np.divide(right, right + wrong, out=np.zeros_like(right), where=right > 0)


def mean_over_classes(values: Values) -> float:
    """The mean of the classes that have a value; NaN where none has."""
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")
