"""The shape in which every segmentation data set is read: frames with label maps, in groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import ClassSet

Image = NDArray[np.uint8]
"""RGB picture, shape (H, W, 3)."""
LabelMap = NDArray[np.uint8]
"""Class id of every pixel, shape (H, W); 255 is void."""


class LabelledData(Protocol):
    """One split of a segmentation data set."""

    @property
    def name(self) -> str:
        """As in a data specification: `camvid`, `cityscapes`, `folder`, `streets`."""
        ...

    @property
    def split(self) -> str: ...

    @property
    def classes(self) -> ClassSet: ...

    @property
    def keys(self) -> Sequence[str]:
        """A unique key per frame, usually the file's stem, in a fixed order."""
        ...

    @property
    def groups(self) -> Sequence[str]:
        """The drive (city, sequence, folder) of every frame: frames of a group are a cluster."""
        ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> tuple[Image, LabelMap]:
        """Picture and label map of one frame. Raises UserError naming a file that is broken."""
        ...

    def fingerprint(self) -> str:
        """Hex digest of what the split contains (pixels and labels), wherever it lies."""
        ...


@runtime_checkable
class Checkable(Protocol):
    """Data that can say more quickly than by loading whether a frame is sound."""

    def check(self, index: int) -> tuple[int, int]:
        """Height and width of a frame. Raises UserError as `load` does, where that needs no look
        at the picture's pixels."""
        ...
