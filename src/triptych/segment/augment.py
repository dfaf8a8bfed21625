"""Augmentation of a frame with its labels: every random number is an argument.

Shape first (scale, crop, flip), then light. The light is what changes from drive to drive:
exposure, contrast, gamma, the colour of the light, noise and blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from triptych.data.classes import VOID
from triptych.data.labelled import Image, LabelMap
from triptych.segment.recipes import SegmentRecipe
from triptych.training.light import as_bytes, both_ways, saturate, tone
from triptych.training.seeding import stream

_SHAPE, _LIGHT = 6, 12


@dataclass(frozen=True)
class Draws:
    """The random numbers of one sample, all from [0, 1)."""

    shape: NDArray[np.float32]
    """(6,): scale, y, x, flip, brightness, contrast."""
    light: NDArray[np.float32]
    """(12,): rare crop or not, its class, its pixel, gamma, red, green and blue gain, saturation,
    strength of the noise, its pattern, blur or not, its width."""


UNCHANGED = Draws(np.full(_SHAPE, 0.5, np.float32), np.full(_LIGHT, 0.5, np.float32))
"""The middle of every range."""


def draws_of(count: int, seed: int, epoch: int, step: int) -> list[Draws]:
    """The random numbers of one batch."""
    shape = torch.rand((count, _SHAPE), generator=stream(seed, "augment", epoch, step)).numpy()
    light = torch.rand((count, _LIGHT), generator=stream(seed, "light", epoch, step)).numpy()
    return [Draws(*pair) for pair in zip(shape, light, strict=True)]


def augment(
    image: Image, label: LabelMap, recipe: SegmentRecipe, draws: Draws
) -> tuple[Image, LabelMap]:
    """One frame (H, W, 3) and its labels (H, W) as a recipe says, at the size of its crop.

    What the crop takes from outside the frame is black and void.
    """
    shape = draws.shape
    height, width = recipe.crop or image.shape[:2]
    low, high = recipe.scale
    scale = float(low * (high / low) ** shape[0])
    if scale != 1.0:
        size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)
        # Plain INTER_NEAREST would move labels by half a pixel against the picture.
        exact = cv2.INTER_NEAREST_EXACT
        label = np.asarray(cv2.resize(label, size, interpolation=exact), np.uint8)
    top = _offset(image.shape[0] - height, shape[1])
    left = _offset(image.shape[1] - width, shape[2])
    if draws.light[0] < recipe.rare_crops:
        top, left = _around_a_rare_pixel(label, height, width, draws.light[1:3], top, left)
    image = _window(image, top, left, height, width, 0)
    label = _window(label, top, left, height, width, VOID)
    if recipe.flip and shape[3] < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    return relight(image, recipe, draws), label


def relight(image: Image, recipe: SegmentRecipe, draws: Draws) -> Image:
    """The same picture (H, W, 3) in another light and through another camera."""
    light = draws.light
    if recipe.jitter or recipe.gamma or recipe.white_balance:
        image = _curves(image, recipe, draws)
    if recipe.saturation:
        image = saturate(image, 1 + recipe.saturation * both_ways(light[7]))
    if recipe.blur and light[10] < 0.5:
        sigma = max(recipe.blur * float(light[11]), 0.1)
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)
    if recipe.noise:
        random = np.random.Generator(np.random.SFC64(int(light[9] * (1 << 24))))
        noise = random.standard_normal(image.shape, np.float32) * (recipe.noise * light[8])
        image = as_bytes(image + noise)
    return image


def _curves(image: Image, recipe: SegmentRecipe, draws: Draws) -> Image:
    """Brightness, contrast, gamma and the gain of each channel."""
    gains = None
    if recipe.white_balance:
        gains = [1 + recipe.white_balance * both_ways(draw) for draw in draws.light[4:7]]
    return tone(
        image,
        1 + recipe.jitter * both_ways(draws.shape[4]),
        1 + recipe.jitter * both_ways(draws.shape[5]),
        (1 + recipe.gamma) ** both_ways(draws.light[3]),
        gains,
    )


def _around_a_rare_pixel(
    label: LabelMap, height: int, width: int, draws: NDArray[np.float32], top: int, left: int
) -> tuple[int, int]:
    """A window around a pixel of a class that is drawn evenly from those in the frame.

    So a class that covers little of the frame is seen as often as the road.
    """
    counts = np.bincount(label.ravel(), minlength=256)[:VOID]
    present = np.flatnonzero(counts)
    if not len(present):
        return top, left
    chosen = present[int(float(draws[0]) * len(present))]
    pixels = np.flatnonzero(label.ravel() == chosen)
    y, x = divmod(int(pixels[int(float(draws[1]) * len(pixels))]), label.shape[1])
    return _inside(y - height // 2, label.shape[0] - height), _inside(
        x - width // 2, label.shape[1] - width
    )


def _inside(offset: int, room: int) -> int:
    """The nearest offset at which the window lies in the frame, or the frame in the window."""
    return min(max(offset, min(room, 0)), max(room, 0))


def _offset(room: int, draw: np.float32) -> int:
    """Where the window begins: anywhere inside, or with the frame anywhere inside the window."""
    return round(room * float(draw))


def _window(
    picture: NDArray[np.uint8], top: int, left: int, height: int, width: int, fill: int
) -> NDArray[np.uint8]:
    inside = picture[max(top, 0) : top + height, max(left, 0) : left + width]
    if inside.shape[:2] == (height, width):
        return inside
    window = np.full((height, width, *picture.shape[2:]), fill, np.uint8)
    y, x = max(-top, 0), max(-left, 0)
    window[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return window
