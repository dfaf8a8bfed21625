"""The same picture in another light: tone curves and saturation, on 8-bit RGB."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image


def tone(
    image: Image, brightness: float, contrast: float, exponent: float = 1.0,
    gains: Sequence[float] | None = None,
) -> Image:  # fmt: skip
    """Brightness and contrast (about the mean grey level) as factors, gamma as an exponent, and a
    gain for each channel, as one table. Picture (H, W, 3) uint8."""
    grey = float(image.mean()) * brightness
    table = np.arange(256) * brightness * contrast + grey * (1 - contrast)
    table = 255 * (np.clip(table, 0, 255) / 255) ** exponent
    if gains is None:
        return np.asarray(cv2.LUT(image, as_bytes(table)), np.uint8)
    tables = as_bytes(np.outer(table, gains))
    return np.asarray(cv2.LUT(image, tables[:, None, :]), np.uint8)


def saturate(image: Image, factor: float) -> Image:
    """Every colour's distance from its grey, times a factor. Picture (H, W, 3) uint8."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image, factor, grey, 1 - factor, 0), np.uint8)


def as_bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Rounded, not cut off: that would darken every picture by half a grey level."""
    return np.asarray(np.rint(values).clip(0, 255), np.uint8)


def both_ways(draw: float) -> float:
    """From [0, 1) to [-1, 1)."""
    return 2 * float(draw) - 1
