"""The shape in which every detection data set is read: pictures with boxes of objects.

A box is (x1, y1, x2, y2) in pixels of the picture: x to the right, y down, from 0 at the outer edge
of the first pixel, x2 and y2 at the far edge of the last one, so that x2 - x1 is the width. A VOC
box, which names its first and its last pixel from 1, becomes (xmin - 1, ymin - 1, xmax, ymax): its
width xmax - xmin + 1 stays what it was. A COCO box is (x, y, x + width, y + height).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image

Boxes = NDArray[np.float32]
"""Boxes (N, 4) as above."""


@dataclass(frozen=True, eq=False)
class Objects:
    """What is known of the objects in one picture, N of them; N may be 0."""

    boxes: Boxes
    """(N, 4), each inside the picture and with an area."""
    labels: NDArray[np.int64]
    """Index into the data set's classes, (N,)."""
    difficult: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """(N,): hard to recognise, so that finding it counts neither for nor against a detector."""
    crowd: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    """(N,): COCO's `iscrowd`, one box around many objects; neither trained on nor scored."""

    def __post_init__(self) -> None:
        count = len(self.labels)
        for name in ("difficult", "crowd"):
            if count and not len(getattr(self, name)):
                object.__setattr__(self, name, np.zeros(count, np.bool_))
        kinds = {"boxes": np.float32, "labels": np.int64, "difficult": np.bool_, "crowd": np.bool_}
        for name, kind in kinds.items():
            array = getattr(self, name)
            shape = (count, 4) if name == "boxes" else (count,)
            if array.shape != shape or array.dtype != kind:
                raise ValueError(
                    f"{name} must be {np.dtype(kind)} {shape}, not {array.dtype} {array.shape}"
                )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """(N,): difficult or a crowd, so not counted."""
        return self.difficult | self.crowd


def no_objects() -> Objects:
    """Of a picture without any."""
    return Objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


class DetectionData(Protocol):
    """One split of a detection data set."""

    @property
    def name(self) -> str:
        """As in a data specification: `voc2007`, `voc2012`, `vocxml`, `coco`, `streets`."""
        ...

    @property
    def split(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names by label."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """A unique key per picture, usually the file's stem, in a fixed order."""
        ...

    @property
    def groups(self) -> Sequence[str] | None:
        """The cluster of every picture, such as its drive; None where they are independent."""
        ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> tuple[Image, Objects]:
        """RGB picture (H, W, 3) and its objects. Raises UserError naming a file that is broken."""
        ...

    def objects(self, index: int) -> Objects:
        """The objects alone; no picture is decoded."""
        ...

    def fingerprint(self) -> str:
        """Hex digest of what the split contains (pictures and objects), wherever it lies."""
        ...


def left_out_of(data: DetectionData) -> Mapping[str, Mapping[str, Any]]:
    """What was left out of a split when it was opened, see `box_problems.left_out`."""
    found: Mapping[str, Mapping[str, Any]] = getattr(data, "left_out", {})
    return found


def objects_digest(objects: Objects) -> bytes:
    """SHA-256 of boxes, labels and flags."""
    digest = hashlib.sha256(np.ascontiguousarray(objects.boxes, "<f4").data)
    digest.update(np.ascontiguousarray(objects.labels, "<i8").data)
    for flags in (objects.difficult, objects.crowd):
        digest.update(np.ascontiguousarray(flags, np.uint8).data)
    return digest.digest()
