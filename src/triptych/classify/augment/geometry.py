"""Moving pixels: crop and flip by two matrix products, shear, shift and rotation by index."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torchvision.transforms import functional as reference

from triptych.classify.augment.colour import as_bytes

_CACHED = 1 << 18
"""Values that are cropped at a time on a CPU: 1 MiB as floats."""


def resized_crop(images: Tensor, boxes: Tensor, flips: Tensor, size: int) -> Tensor:
    """Boxes (N, 4) of images (N, 3, H, W) uint8 resized to (N, 3, size, size), some flipped.

    `boxes` hold (top, left, height, width), `flips` (N,) is true where left and right change
    places. Bilinear with antialiasing, rounded to uint8, as torchvision resizes a uint8 tensor.
    Interpolation is linear and separable, so each axis is one matrix a sample; flipping reverses
    the rows of one of them and costs nothing.
    """
    height, width = images.shape[2:]
    places = torch.arange(size, device=images.device) + 0.5
    mirrored = torch.where(flips.to(images.device)[:, None], size - places, places)
    places = torch.stack((places.expand_as(mirrored), mirrored))
    vertical, horizontal = _interpolation(places, boxes.to(images.device), max(height, width))
    # On a CPU, parts whose floats stay in its cache take half of the time.
    parts = max(1, round(images.numel() / _CACHED)) if images.device.type == "cpu" else 1
    pieces = zip(
        images.chunk(parts),
        vertical[..., :height].chunk(parts),
        horizontal[..., :width].chunk(parts),
        strict=True,
    )
    return torch.cat([_interpolate(*piece) for piece in pieces])


def _interpolate(images: Tensor, vertical: Tensor, horizontal: Tensor) -> Tensor:
    """Images (N, C, H, W) uint8 by weights (N, size, H) and (N, size, W), rounded to uint8."""
    count, channels, height, width = images.shape
    size = vertical.shape[1]
    # Neither autocast nor TF32, which a training may allow, is precise enough to round to a byte.
    exact = torch.float64 if images.is_cuda else torch.float32
    with torch.autocast(images.device.type, enabled=False):
        # With channels inside rows, both axes are one product a sample.
        rows = images.transpose(1, 2).contiguous().to(exact)
        rows = rows.view(count, height * channels, width).bmm(horizontal.to(exact).mT)
        pixels = vertical.to(exact).bmm(rows.view(count, height, channels * size))
    pixels = pixels.view(count, size, channels, size)
    return as_bytes(pixels.round_()).transpose(1, 2).contiguous()


def _interpolation(places: Tensor, boxes: Tensor, source: int) -> Tensor:
    """Weights (2, N, size, source) that resize boxes (N, 4) vertically and horizontally.

    `places` (2, N, size) are the centres of the target pixels. Each takes from its surroundings by
    a triangle as wide as a target pixel, but no narrower than a source pixel, and only from inside.
    """
    start, length = boxes.T.float().view(2, 2, -1, 1)
    scale = length[..., None] / places.shape[2]
    pixels = torch.arange(source, device=boxes.device) - start
    outside = (pixels < 0) | (pixels >= length)
    pixels = (pixels + 0.5).masked_fill_(outside, -torch.inf)
    distance = (pixels[:, :, None] - scale * places[..., None]).abs_()
    weights: Tensor = distance.mul_(-1 / scale.clamp(min=1)).add_(1).clamp_(min=0)
    return weights.div_(weights.sum(3, keepdim=True))


MOVES = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")


def move(images: Tensor, sources: Tensor) -> Tensor:
    """Images (n, C, H, W) whose pixels come from `sources` (n, H * W); 0 is black, k pixel k - 1.

    Rows of `move_table` are such sources.
    """
    count, channels, height, width = images.shape
    padded = torch.nn.functional.pad(images.flatten(2), (1, 0))
    index = sources[:, None].expand(count, channels, height * width).long()
    return padded.gather(2, index).view_as(images)


@lru_cache(maxsize=8)
def move_table(
    height: int, width: int, magnitudes: tuple[tuple[float, ...], ...], device: torch.device
) -> Tensor:
    """Where each pixel comes from, for `move`: int32, one row (H * W,) a move and magnitude.

    `magnitudes` holds, for each of MOVES in turn, its magnitudes with sign. A picture of pixel
    numbers is moved once by torchvision: pixels that lie halfway between two sources, as on the
    diagonals of a rotation by 45°, then fall to the same side as there, on every device.
    """
    numbers = torch.arange(1, height * width + 1).float().view(1, height, width)
    rows = [
        _move_one(numbers, name, magnitude).flatten()
        for name, row in zip(MOVES, magnitudes, strict=True)
        for magnitude in row
    ]
    return torch.stack(rows).int().to(device)


def _move_one(image: Tensor, name: str, magnitude: float) -> Tensor:
    """One of MOVES as torchvision's TrivialAugmentWide does it: nearest, outside is 0."""
    moved: Tensor
    if name == "Rotate":
        moved = reference.rotate(image, magnitude)
        return moved
    degrees, pixels = math.degrees(math.atan(magnitude)), int(magnitude)
    shear = [degrees if name == "ShearX" else 0.0, degrees if name == "ShearY" else 0.0]
    shift = [pixels if name == "TranslateX" else 0, pixels if name == "TranslateY" else 0]
    # Shear leaves the upper left corner where it is, not the centre.
    centre = [0, 0] if name.startswith("Shear") else None
    moved = reference.affine(image, 0.0, shift, 1.0, shear, center=centre)
    return moved
