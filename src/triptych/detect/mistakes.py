"""What to look at first: the surest wrong detections, and the objects that were missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from triptych.detect.items import DetectionItems
from triptych.detect.matching import FALSE, TRUE
from triptych.detect.overlap import box_iou

NEAR = 0.1
"""IoU from which a wrong detection has to do with an object (Hoiem 2012, "Diagnosing error in
object detectors")."""

Kind = Literal["duplicate", "localisation", "other class", "background"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class WrongDetection:
    key: str
    name: str
    """Of the class that was detected."""
    box: Box
    score: float
    kind: Kind
    """`duplicate`: of an object that a higher score found. `localisation`: near an object of the
    class, but not near enough. `other class`: on an object of another class. `background`: none of
    these."""
    iou: float
    """With the object that makes it this kind; 0 for background."""
    other: str | None
    """The class of that object, where it is another one."""


@dataclass(frozen=True)
class MissedObject:
    key: str
    name: str
    box: Box
    score: float | None
    """Of the detection that found it, below what was asked for; None where none did."""


def wrong_detections(items: DetectionItems, most: int = 50) -> list[WrongDetection]:
    """The `most` wrong detections with the highest scores, highest first."""
    matches = items.matches()
    wrong = np.flatnonzero(matches.state == FALSE)
    wrong = wrong[np.argsort(-matches.score[wrong], kind="stable")][:most]
    found = []
    for row in wrong.tolist():
        image, label = int(matches.image[row]), int(matches.label[row])
        box = items.detections[image].boxes[matches.place[row]]
        truth = items.objects[image]
        overlaps = box_iou(box[None], truth.boxes, plus_one=items.rules.plus_one)[0]
        same = truth.labels == label
        kind: Kind = "background"
        iou, other = float(matches.iou[row]), None
        if matches.target[row] >= 0:
            kind = "duplicate"
        elif iou >= NEAR:
            kind = "localisation"
        elif (elsewhere := np.where(same, 0, overlaps)).max(initial=0) >= NEAR:
            kind, iou = "other class", float(elsewhere.max())
            other = items.classes[int(truth.labels[elsewhere.argmax()])]
        else:
            iou = 0.0
        score, name = float(matches.score[row]), items.classes[label]
        found.append(WrongDetection(items.keys[image], name, _box(box), score, kind, iou, other))
    return found


def missed_objects(items: DetectionItems, score: float = 0.5, most: int = 50) -> list[MissedObject]:
    """The `most` objects that count and that no detection of at least this score finds.

    First those that nothing found, large before small, then by rising score.
    """
    matches = items.matches()
    hits = np.flatnonzero(matches.state == TRUE)
    by_object = {
        (int(matches.image[row]), int(matches.target[row])): float(matches.score[row])
        for row in hits
    }
    missed: list[tuple[tuple[bool, float, float], int, MissedObject]] = []
    for image, truth in enumerate(items.objects):
        for number in np.flatnonzero(~truth.ignored).tolist():
            best = by_object.get((image, number))
            if best is not None and best >= score:
                continue
            box = truth.boxes[number]
            area = float((box[2] - box[0]) * (box[3] - box[1]))
            name = items.classes[int(truth.labels[number])]
            entry = MissedObject(items.keys[image], name, _box(box), best)
            missed.append(((best is not None, best or 0.0, -area), len(missed), entry))
    return [entry for _, _, entry in sorted(missed)[:most]]


def _box(box: NDArray[np.float32]) -> Box:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2
