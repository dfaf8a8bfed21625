"""Changing colours: each function takes images (n, 3, H, W) uint8 and one number a sample.

Arithmetic is torchvision's for uint8 tensors, in the same order and precision, so that results
are equal and not only close: blends are float32 and cut off, not rounded.
"""

from __future__ import annotations

import torch
from torch import Tensor


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with black; `factors` (n,) float64, 1 changes nothing."""
    return _blend(images, images.new_zeros((1, 1, 1, 1)), factors)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the grey picture; `factors` (n,) float64, 1 changes nothing."""
    return _blend(images, _grey(images), factors)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the mean grey of each picture; `factors` (n,) float64, 1 changes nothing."""
    # Summed as integers: exact in any order, so on any number of threads.
    mean = _grey(images).sum((1, 2, 3), keepdim=True) / (images.shape[-1] * images.shape[-2])
    return _blend(images, mean, factors)


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with a blurred picture, border left as it is; `factors` (n,) float64, 1 is no change.

    The blur is a 3 × 3 mean in which the middle counts five times.
    """
    if min(images.shape[-2:]) <= 2:
        return images
    wide = images.short()
    lines = wide[..., :-2, :] + wide[..., 1:-1, :] + wide[..., 2:, :]
    box = lines[..., :-2] + lines[..., 1:-1] + lines[..., 2:]
    box += wide[..., 1:-1, 1:-1] * 4
    blurred = images.clone()
    # No thirteenth lies halfway between integers, so float32 rounds as exact arithmetic would.
    blurred[..., 1:-1, 1:-1] = as_bytes(box.float().div_(13).round_())
    return _blend(images, blurred, factors)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest `bits` (n,) of every value."""
    masks = (256 - 2 ** (8 - bits.long())).to(torch.uint8)
    return images & _column(masks, images)


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert values from `thresholds` (n,), 0 to 255, on."""
    limits = _column(thresholds.ceil().to(torch.uint8), images)
    return images ^ (images >= limits).to(torch.uint8).mul_(255)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch every channel of every picture to 0..255; a flat channel stays as it is."""
    low, high = images.amin((2, 3), True).float(), images.amax((2, 3), True).float()
    flat = low == high
    scale = torch.where(flat, 1.0, 255 / (high - low))
    low = torch.where(flat, 0.0, low)
    return as_bytes(images.float().sub_(low).mul_(scale))


def equalize(images: Tensor) -> Tensor:
    """Make the histogram of every channel of every picture flat."""
    values = images.flatten(2).flatten(0, 1)
    index = values.long()
    counts = torch.zeros((len(values), 256), dtype=torch.int32, device=images.device)
    counts.scatter_add_(1, index, torch.ones_like(index, dtype=torch.int32))
    brightest = counts.gather(1, values.amax(1, keepdim=True).long())
    step = (values.shape[1] - brightest) // 255
    below = counts.cumsum(1, dtype=torch.int32) - counts
    table = as_bytes((below + step // 2) / step.clamp(min=1))
    # Without the brightest value fewer than 255 pixels are left: too few to spread.
    unchanged = torch.arange(256, dtype=torch.uint8, device=images.device)
    table = torch.where(step == 0, unchanged, table)
    return table.gather(1, index).view_as(images)


def as_bytes(values: Tensor) -> Tensor:
    """Floats cut off to 0..255, their fractions cut off too, as uint8. Overwrites `values`."""
    # By way of int16: PyTorch's own step from float32 to uint8 takes several times as long.
    return values.clamp_(0, 255).to(torch.int16).to(torch.uint8)


def _blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    """factors × images + (1 - factors) × others, cut off to 0..255."""
    ours, theirs = (_column(part.float(), images) for part in (factors, 1 - factors))
    return as_bytes(images.float().mul_(ours).add_(others * theirs))


def _grey(images: Tensor) -> Tensor:
    """Luminance (n, 1, H, W) uint8."""
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    grey = red.float().mul_(0.2989).add_(green.float().mul_(0.587)).add_(blue.float().mul_(0.114))
    return as_bytes(grey)


def _column(numbers: Tensor, images: Tensor) -> Tensor:
    """One number a sample (n,), on the images' device and against their shape."""
    return numbers.to(images.device).view(-1, 1, 1, 1)
