"""Augmentation of a picture with its boxes: every random number is an argument.

The picture comes out at the size at which the detector will look at it, so that it is resized once.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from triptych.data.boxes import Objects
from triptych.data.labelled import Image
from triptych.detect.models.settings import DetectorSettings
from triptych.detect.recipes import DetectRecipe
from triptych.training.light import both_ways, saturate, tone
from triptych.training.seeding import stream

Draws = NDArray[np.float32]
"""(7,) from [0, 1): scale, y, x, flip, brightness, contrast, saturation."""
_DRAWS = 7
UNCHANGED: Draws = np.full(_DRAWS, 0.5, np.float32)
"""The middle of every range."""
GREY = 127
"""What is around a picture that was made smaller."""


def draws_of(count: int, seed: int, epoch: int, step: int) -> list[Draws]:
    """The random numbers of one batch."""
    random = torch.rand((count, _DRAWS), generator=stream(seed, "augment", epoch, step))
    return list(random.numpy())


def augment(
    image: Image, objects: Objects, recipe: DetectRecipe, settings: DetectorSettings, draws: Draws
) -> tuple[Image, Objects]:
    """One picture (H, W, 3) and the objects to learn, as a recipe says.

    Its size is that to which the detector of these settings would have resized it. Of an object
    whose centre is cut off nothing remains (Liu 2016, SSD, section 2.2); what remains is cut to the
    picture. What is difficult or a crowd is not learnt.
    """
    height, width = resized(image.shape[0], image.shape[1], settings)
    low, high = recipe.scale
    scale = float(low * (high / low) ** draws[0])
    # Of the very picture, not of its rounded size: boxes follow it to the fraction of a pixel.
    size = max(round(height * scale), 1), max(round(width * scale), 1)
    factor = size[1] / image.shape[1], size[0] / image.shape[0]
    if image.shape[:2] != size:
        # As torchvision resizes, so that training sees what evaluation sees.
        image = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    top, left = round((size[0] - height) * draws[1]), round((size[1] - width) * draws[2])
    if size != (height, width):
        image = _window(image, top, left, height, width)
    boxes = objects.boxes * np.array(factor * 2, np.float32)
    boxes -= np.array((left, top, left, top), np.float32)
    if recipe.flip and draws[3] < 0.5:
        image = image[:, ::-1]
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1)
    return relight(image, recipe, draws), _inside(boxes, objects, height, width)


def relight(image: Image, recipe: DetectRecipe, draws: Draws) -> Image:
    """The same picture (H, W, 3) in another light."""
    if recipe.jitter:
        brightness, contrast = (1 + recipe.jitter * both_ways(draw) for draw in draws[4:6])
        image = tone(image, brightness, contrast)
    if recipe.saturation:
        image = saturate(image, 1 + recipe.saturation * both_ways(draws[6]))
    return image


def resized(height: int, width: int, settings: DetectorSettings) -> tuple[int, int]:
    """The size at which a detector looks at a picture; torchvision's rule, rounded down like it."""
    shorter, longer = min(height, width), max(height, width)
    scale = min(settings.min_size / shorter, settings.max_size / longer)
    return max(int(height * scale), 1), max(int(width * scale), 1)


def padded(height: int, width: int, settings: DetectorSettings) -> tuple[int, int]:
    """The size of what enters a detector's network for such a picture alone: `resized`, and up to
    the next multiple of `pad_to`."""
    multiple = settings.pad_to
    shape = resized(height, width, settings)
    return -(-shape[0] // multiple) * multiple, -(-shape[1] // multiple) * multiple


def _inside(boxes: NDArray[np.float32], objects: Objects, height: int, width: int) -> Objects:
    """The objects to learn in a picture of that size, with boxes that may reach beyond it."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    limit = np.array((width, height), np.float32)
    kept = ((centre >= 0) & (centre < limit)).all(axis=1) & ~objects.ignored
    cut = np.clip(boxes, 0, np.tile(limit, 2)).astype(np.float32)
    kept &= (cut[:, 2:] - cut[:, :2] > 0).all(axis=1)
    return Objects(cut[kept], objects.labels[kept], objects.difficult[kept], objects.crowd[kept])


def _window(image: Image, top: int, left: int, height: int, width: int) -> Image:
    """A window that may reach over the picture: there it is grey."""
    inside = image[max(top, 0) : top + height, max(left, 0) : left + width]
    if inside.shape[:2] == (height, width):
        return inside
    window = np.full((height, width, 3), GREY, np.uint8)
    y, x = max(-top, 0), max(-left, 0)
    window[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return window
