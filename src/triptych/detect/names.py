"""From the classes that a detector has to those of the data, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from triptych.detect.detections import Detections
from triptych.errors import UserError

SYNONYMS = {
    "airplane": "aeroplane",
    "couch": "sofa",
    "dining table": "diningtable",
    "motorcycle": "motorbike",
    "potted plant": "pottedplant",
    "tv": "tvmonitor",
}
"""COCO's names → VOC's, where they differ."""


@dataclass(frozen=True, eq=False)
class NameMap:
    """What each of the detector's labels is in the data."""

    table: NDArray[np.int64]
    """Label in the data by label of the detector; -1 for a class that the data does not have."""
    left_out: tuple[str, ...]
    """Names of those."""

    def apply(self, detections: Detections) -> Detections:
        """The detections of classes that the data has, by the data's labels."""
        labels = self.table[detections.labels]
        known = labels >= 0
        return Detections(detections.boxes[known], detections.scores[known], labels[known])


def names_between(who: str, ours: Sequence[str], data: Sequence[str]) -> NameMap:
    """Match the detector's names with the data's; COCO's names stand for VOC's.

    Classes that only the detector has are left out. Raises UserError where the data has one that
    the detector has not: its AP would be 0 for no other reason.
    """
    labels = {name: label for label, name in enumerate(data)}
    back = {voc: coco for coco, voc in SYNONYMS.items()}
    table = np.array(
        [
            next((labels[n] for n in (name, SYNONYMS.get(name), back.get(name)) if n in labels), -1)
            for name in ours
        ],
        np.int64,
    )
    missing = [name for name, label in labels.items() if label not in table]
    if missing:
        near = get_close_matches(missing[0], ours, 1)
        hint = f"; is {near[0]!r} what it is called there?" if near else ""
        raise UserError(f"{who} has no class {missing[0]!r}{hint} (it has {', '.join(ours)})")
    return NameMap(table, tuple(n for n, label in zip(ours, table, strict=True) if label < 0))
