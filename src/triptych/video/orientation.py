"""Which way up a video's frames are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import av
import cv2
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type

from triptych.data.labelled import Image


@dataclass(frozen=True)
class Orientation:
    """Quarter turns and mirrors: rows and columns swapped first, then flipped."""

    transpose: bool
    flip_x: bool
    flip_y: bool

    def apply(self, image: Image) -> Image:
        result = cv2.transpose(image) if self.transpose else image
        if self.flip_x or self.flip_y:
            code = -1 if self.flip_x and self.flip_y else int(self.flip_x)
            result = cv2.flip(result, code)
        return result

    @property
    def degrees(self) -> int:
        """Clockwise turn that a player applies (mirrors aside)."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """From the display matrix (ISO 14496-12, 6.2.2): x' = a·x + c·y, y' = b·x + d·y."""
    side_data = cast("Mapping[Type, Buffer]", frame.side_data)
    if Type.DISPLAYMATRIX not in side_data:
        return Orientation(False, False, False)
    a, b, _, c, d = np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), "<i4")[:5].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
