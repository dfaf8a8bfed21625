"""Optical flow between neighbouring frames, and where it can be relied on."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image

Grey = NDArray[np.uint8]
"""Brightness of a frame at reduced size, (h, w)."""
Places = tuple[NDArray[np.float32], NDArray[np.float32]]
"""x and y in pixels of a `Grey`, (h, w) each; a pixel's middle has whole numbers."""

SIDE = 192
"""Pixels of the longer side to which frames are reduced: flow costs time, and models are slower."""
LEAST, FLATTEST = 32, 8
"""OpenCV's DIS crashes on pictures lower than this, and on those much flatter than 1 to 8."""
SLACK = 0.5, 0.01
"""A point that is followed there and back may miss by this: square pixels, and a share of its
squared motion (Sundaram 2010, Dense Point Trajectories by GPU-accelerated Large Displacement
Optical Flow)."""
SAME_BRIGHTNESS = 16
"""Of 255: further apart, two pixels do not show the same point, whatever the flow says."""


def reduced_grey(image: Image) -> Grey:
    """The brightness of a picture (H, W, 3), made smaller where its longer side exceeds SIDE."""
    height, width = image.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


_OWN = threading.local()


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the points that a frame shows are in the next one."""

    places: Places
    """Of each pixel's point, in the next frame."""
    followed: NDArray[np.bool_]
    """Pixels (h, w) whose point is surely found there: neither hidden nor out of the picture."""


def motion_between(before: Grey, after: Grey) -> Motion:
    """Follow the pixels of `before` (h, w) to `after`, of the same size; safe in any thread.

    The flow is DIS (Kroeger 2016, Fast Optical Flow using Dense Inverse Search). A pixel counts
    as followed where the flow back leads to it again (which leaves out what gets hidden), where
    the brightness is the same, and where it stays in the picture.
    """
    there, back = _flow(before, after), _flow(after, before)
    x, y = (at + step for at, step in zip(grid(before.shape), cv2.split(there), strict=True))
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR)
    arrived = cv2.remap(after, x, y, cv2.INTER_LINEAR)
    height, width = before.shape
    missed = _squared(cv2.add(there, returned))
    allowed = cv2.add(_squared(there), _squared(returned)) * SLACK[1] + SLACK[0]
    followed = (
        (missed < allowed)
        & (cv2.absdiff(arrived, before) < SAME_BRIGHTNESS)
        & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    )  # fmt: skip
    return Motion((x, y), followed)


@lru_cache(maxsize=8)
def grid(shape: tuple[int, ...]) -> Places:
    """The places of the pixels themselves, of a picture (h, w); not to be written to."""
    height, width = shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    x.flags.writeable = y.flags.writeable = False
    return x, y


def _flow(before: Grey, after: Grey) -> NDArray[np.float32]:
    """Right and down in pixels, (h, w, 2)."""
    height, width = before.shape
    least = max(LEAST, -(-max(height, width) // FLATTEST))
    missing = max(0, least - height), max(0, least - width)
    first, second = (
        cv2.copyMakeBorder(each, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        for each in (before, after)
    )
    found = _dis().calc(first, second, None)
    return np.asarray(found[:height, :width], np.float32)


def _dis() -> cv2.DISOpticalFlow:
    """This thread's own: it keeps buffers, which threads must not share and which cost time."""
    if not hasattr(_OWN, "dis"):
        _OWN.dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    found: cv2.DISOpticalFlow = _OWN.dis
    return found


def _squared(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared lengths (h, w) of vectors (h, w, 2)."""
    x, y = cv2.split(vectors)
    return np.asarray(cv2.add(cv2.multiply(x, x), cv2.multiply(y, y)), np.float32)
