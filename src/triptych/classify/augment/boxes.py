"""Random boxes of a given share of the picture, for the crop and for what is erased.

Both follow torchvision's `get_params`: an area drawn uniformly, an aspect ratio drawn uniformly in
its logarithm, ten tries until the rounded box fits, then a place drawn uniformly.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

TRIES = 10
DRAWS = 2 * TRIES + 2
"""Numbers that one box takes: area and aspect of every try, then top and left."""

CROP_ASPECT = (3 / 4, 4 / 3)
ERASE_AREA = (1 / 50, 1 / 3)
ERASE_ASPECT = (3 / 10, 10 / 3)

Uniform = NDArray[np.float64]
Sides = NDArray[np.int64]


def crop_boxes(uniform: Uniform, height: int, width: int, least_area: float) -> Tensor:
    """Boxes (N, 4) int64 as (top, left, height, width) from uniform numbers (N, DRAWS).

    Where no try fits it is the largest central box whose aspect ratio is allowed.
    """
    tall, wide = _sides(uniform, height, width, (least_area, 1.0), CROP_ASPECT)
    fits = (tall > 0) & (tall <= height) & (wide > 0) & (wide <= width)
    return _place(uniform, tall, wide, fits, height, width, _central(height, width))


def erase_boxes(uniform: Uniform, height: int, width: int) -> Tensor:
    """Boxes (N, 4) int64 as (top, left, height, width) from uniform numbers (N, DRAWS).

    Where no try fits the box is empty. A box never has the full height or width.
    """
    tall, wide = _sides(uniform, height, width, ERASE_AREA, ERASE_ASPECT)
    fits = (tall < height) & (wide < width)
    return _place(uniform, tall, wide, fits, height, width, (0, 0, 0, 0))


def _sides(
    uniform: Uniform,
    height: int,
    width: int,
    area: tuple[float, float],
    aspect: tuple[float, float],
) -> tuple[Sides, Sides]:
    """Height and width, each (N, TRIES), of every try; aspect is width over height."""
    areas = height * width * (area[0] + (area[1] - area[0]) * uniform[:, :TRIES])
    low, high = math.log(aspect[0]), math.log(aspect[1])
    aspects = np.exp(low + (high - low) * uniform[:, TRIES : 2 * TRIES])
    tall, wide = np.rint(np.sqrt(areas / aspects)), np.rint(np.sqrt(areas * aspects))
    return tall.astype(np.int64), wide.astype(np.int64)


def _place(
    uniform: Uniform,
    tall: Sides,
    wide: Sides,
    fits: NDArray[np.bool_],
    height: int,
    width: int,
    otherwise: tuple[int, int, int, int],
) -> Tensor:
    """The first try that fits at a place drawn uniformly, or `otherwise`."""
    rows, first = np.arange(len(fits)), fits.argmax(1)
    tall, wide = tall[rows, first], wide[rows, first]
    top = uniform[:, 2 * TRIES] * (height - tall + 1)
    left = uniform[:, 2 * TRIES + 1] * (width - wide + 1)
    boxes = np.stack((top, left, tall, wide), 1).astype(np.int64)
    boxes[~fits[rows, first]] = otherwise
    return torch.from_numpy(boxes)


def _central(height: int, width: int) -> tuple[int, int, int, int]:
    low, high = CROP_ASPECT
    if width / height < low:
        tall, wide = round(width / low), width
    elif width / height > high:
        tall, wide = height, round(height * high)
    else:
        tall, wide = height, width
    return (height - tall) // 2, (width - wide) // 2, tall, wide
