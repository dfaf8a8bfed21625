"""TrivialAugmentWide (Müller and Hutter 2021, arXiv 2103.10158): one operation a sample.

The space is torchvision's: 14 operations, 31 magnitudes, a random sign where it makes sense.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor

from triptych.classify.augment import colour
from triptych.classify.augment.geometry import MOVES, move, move_table

BINS = 31
OPERATIONS = (
    "Identity",
    *MOVES,
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
SIGNED = torch.tensor([0] + [1] * 9 + [0] * 4, dtype=torch.bool)
"""By operation: whether its magnitude has a sign."""


def _magnitudes() -> Tensor:
    still = torch.zeros(BINS)
    ratio, pixels = torch.linspace(0, 0.99, BINS), torch.linspace(0, 32, BINS)
    degrees, falling = torch.linspace(0, 135, BINS), torch.linspace(255, 0, BINS)
    bits = 8 - (torch.arange(BINS) / ((BINS - 1) / 6)).round()
    rows = (still, ratio, ratio, pixels, pixels, degrees, *[ratio] * 4, bits, falling, still, still)
    return torch.stack(rows).double()


MAGNITUDES = _magnitudes()
"""(operations, BINS) float64, without sign."""

_SIGNED_MAGNITUDES = torch.stack(
    (MAGNITUDES, torch.where(SIGNED[:, None], -MAGNITUDES, MAGNITUDES)), -1
)
"""(operations, BINS, 2): as they are, and with the sign turned where there is one."""

_FIRST_MOVE, _LAST_MOVE = OPERATIONS.index(MOVES[0]), OPERATIONS.index(MOVES[-1])
_MOVES = tuple(map(tuple, _SIGNED_MAGNITUDES[_FIRST_MOVE : _LAST_MOVE + 1].flatten(1).tolist()))
_COLOURS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Brightness": lambda images, magnitudes: colour.brightness(images, 1 + magnitudes),
    "Color": lambda images, magnitudes: colour.saturation(images, 1 + magnitudes),
    "Contrast": lambda images, magnitudes: colour.contrast(images, 1 + magnitudes),
    "Sharpness": lambda images, magnitudes: colour.sharpness(images, 1 + magnitudes),
    "Posterize": colour.posterize,
    "Solarize": colour.solarize,
    "AutoContrast": lambda images, _: colour.autocontrast(images),
    "Equalize": lambda images, _: colour.equalize(images),
}


def trivial_augment(images: Tensor, operations: Tensor, bins: Tensor, negative: Tensor) -> Tensor:
    """A new batch (N, 3, H, W) uint8, each picture changed by its own operation.

    `operations` (N,) int64 index OPERATIONS, `bins` (N,) int64 the columns of MAGNITUDES, and
    `negative` (N,) bool turns the sign; all on the CPU.
    """
    # Sorted by operation, each one's samples are a slice that it can work on in its place.
    order = operations.argsort(stable=True)
    cells = ((operations * BINS + bins) * 2 + negative).index_select(0, order)
    magnitudes = _SIGNED_MAGNITUDES.flatten().index_select(0, cells)
    counts = operations.bincount(minlength=len(OPERATIONS)).tolist()
    ends = list(accumulate(counts))
    batch = images.index_select(0, order.to(images.device))

    moved = slice(ends[_FIRST_MOVE - 1], ends[_LAST_MOVE])
    if moved.stop > moved.start:
        table = move_table(*images.shape[-2:], _MOVES, images.device)
        rows = (cells[moved] - _FIRST_MOVE * BINS * 2).to(images.device)
        batch[moved] = move(batch[moved], table.index_select(0, rows))
    for name, change in _COLOURS.items():
        index = OPERATIONS.index(name)
        if counts[index]:
            part = slice(ends[index - 1], ends[index])
            batch[part] = change(batch[part], magnitudes[part])
    return batch.index_select(0, order.argsort().to(images.device))
