"""Street scenes as a detection data set: boxes of vehicles and people, made by program.

An object is what has an instance number of its own and is one of the eight classes that Cityscapes
gives instances (Cordts 2016): a rider is one object, what is ridden another. Its box is the extent
of its pixels that are seen. It is difficult where little of it is there to recognise: its box has
a side below `LEAST_SIDE` pixels, or less than `LEAST_SHARE` of the box shows it, because the rest
is hidden behind something else.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

import numpy as np

from triptych.data.boxes import Objects, no_objects, objects_digest
from triptych.data.classes import CITYSCAPES
from triptych.data.labelled import Image
from triptych.data.streets import VERSION, StreetFrame, Streets

CLASSES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
SIZE = (192, 384)
"""Height and width of the pictures by default: twice those that are segmented, because a box needs
pixels."""
LEAST_SIDE = 6
LEAST_SHARE = 0.25
_KEPT = 4096
"""Pictures whose objects are kept in memory: drawing them again takes as long as the pictures."""


class StreetBoxes:
    """One split of street scenes; a `DetectionData`. A scene is a group, no two splits share one.

    Raises UserError as `Streets` does.
    """

    name = "streets"
    classes = CLASSES

    def __init__(
        self, split: str = "train", scenes: int = 24, frames_per_scene: int = 12,
        size: tuple[int, int] = SIZE, seed: int = 0,
    ) -> None:  # fmt: skip
        self._streets = Streets(split, scenes, frames_per_scene, size, seed)
        self.split = split
        self.keys = self._streets.keys
        self.groups = self._streets.groups
        self._objects = lru_cache(_KEPT)(lambda index: _objects(self._streets.frame(index)))

    def __len__(self) -> int:
        return len(self._streets)

    def load(self, index: int) -> tuple[Image, Objects]:
        """RGB picture (H, W, 3) and its objects."""
        return self._streets.frame(index).image, self.objects(index)

    def objects(self, index: int) -> Objects:
        """The objects alone; no picture is rendered."""
        found: Objects = self._objects(index)
        return found

    def fingerprint(self) -> str:
        """sha256 over which frames these are, the generator's version, and a few frames."""
        about = [VERSION, LEAST_SIDE, LEAST_SHARE, self._streets.size, self.keys]
        digest = hashlib.sha256(json.dumps(about).encode())
        for index in sorted({0, len(self) // 2, len(self) - 1}):
            image, objects = self.load(index)
            digest.update(image.tobytes())
            digest.update(objects_digest(objects))
        return digest.hexdigest()


def _objects(frame: StreetFrame) -> Objects:
    labels = np.full(len(CITYSCAPES), -1, np.int64)
    for label, name in enumerate(CLASSES):
        labels[CITYSCAPES.names.index(name)] = label
    kept = labels[frame.classes] >= 0
    if not kept.any():
        return no_objects()
    # Both are by rising instance number.
    numbers, pixels = np.unique(frame.instances, return_counts=True)
    shown = pixels[numbers > 0][kept]
    boxes = frame.boxes[kept]
    sides = boxes[:, 2:] - boxes[:, :2]
    difficult = (sides.min(axis=1) < LEAST_SIDE) | (shown < LEAST_SHARE * sides.prod(axis=1))
    return Objects(boxes, labels[frame.classes[kept]], difficult)
