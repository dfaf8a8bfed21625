"""Precision against recall, class by class, as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triptych.detect.items import DetectionItems
from triptych.detect.matching import FALSE, TRUE


@dataclass(frozen=True, eq=False)
class Curve:
    """One class: what is reached with all detections from a score on, for falling scores."""

    objects: int
    """That count."""
    score: NDArray[np.float64]
    """(P,), each of the different scores once, but for those where nothing changes."""
    recall: NDArray[np.float64]
    """Share of the objects found, (P,)."""
    precision: NDArray[np.float64]
    """Share of the detections that are right, (P,)."""


def curves(items: DetectionItems) -> dict[str, Curve]:
    """The curve of every class of which an object counts, by VOC's matching.

    Detections of equal score enter together: no threshold parts them.
    """
    matches = items.matches()
    found = {}
    for label, name in enumerate(items.classes):
        objects = int(matches.positives[:, label].sum())
        if not objects:
            continue
        mine = (matches.label == label) & np.isin(matches.state, (TRUE, FALSE))
        score, state = matches.score[mine], matches.state[mine]
        last = np.flatnonzero(np.append(np.diff(score) != 0, True)[: len(score)])
        right = np.cumsum(state == TRUE)[last]
        found[name] = Curve(objects, score[last], right / objects, right / (last + 1))
    return found
