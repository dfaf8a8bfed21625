"""How bright a frame is, and the bins in which scores are given beside it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from triptych.data.labelled import Image

EDGES = (0, 60, 90, 120, 255)
"""Edges of the bins; a bin has its lower edge, the last one both."""

BINS = tuple(f"{low}-{high}" for low, high in pairwise(EDGES))
"""`0-60`, `60-90`, `90-120`, `120-255`."""


def luminance(picture: Image) -> float:
    """Mean luma of a picture by Rec. 601, 0 to 255."""
    pixels = picture.reshape(-1, 3)
    red, green, blue = pixels.sum(axis=0, dtype=np.int64).tolist()
    # In whole numbers, so that a grey of exactly 60 lands on the edge and not beside it.
    weighted: int = 299 * red + 587 * green + 114 * blue
    return weighted / (1000 * len(pixels))


def luminance_bin(value: float) -> str:
    """The bin of a mean luma."""
    return BINS[int(np.digitize(value, EDGES[1:-1]))]
