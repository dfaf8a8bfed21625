"""A sheet of what augmentation does: operations at several magnitudes, whole samples, mixes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import torch
from torch import Tensor

from triptych.classify.augment import (
    MAGNITUDES,
    OPERATIONS,
    SIGNED,
    Augmentation,
    apply_mixture,
    augment,
    draw_mixture,
    trivial_augment,
)
from triptych.classify.tiles import Row, Tile, tile, write_sheet
from triptych.training.seeding import stream

SHOWN = 3
"""Pictures that are shown with every operation."""
LEVELS = ((10, False), (20, True), (30, False))
"""Rows of each of them: index of the magnitude, and whether its sign is turned."""

_UNITS = {
    "TranslateX": "{:+.0f} px",
    "TranslateY": "{:+.0f} px",
    "Rotate": "{:+.0f}°",
    "Posterize": "{:.0f} bits",
    "Solarize": "from {:.0f}",
}
"""How magnitudes are written; the others are shares with a sign."""


def augmentation_sheet(images: Tensor, out: Path, seed: int) -> None:
    """Write a labelled PNG about pictures (n, 3, H, W) uint8 on the CPU; n is at least 1.

    Above, one column an operation of TrivialAugment, and for each of SHOWN pictures one row a
    magnitude. Below, samples of the whole pipeline (crops of at least 0.35 of the area, erasing
    0.25), and mixes of two such samples. The same seed gives the same sheet.
    """
    rows = [*_operations(images[:SHOWN]), *_samples(images[:SHOWN], seed), *_mixes(images, seed)]
    write_sheet(rows, out)


def _operations(images: Tensor) -> Iterator[Row]:
    every = torch.arange(len(OPERATIONS))
    for number, image in enumerate(images):
        for row, (level, turned) in enumerate(LEVELS):
            batch = image.expand(len(every), *image.shape)
            levels, signs = torch.full_like(every, level), torch.full_like(every, turned).bool()
            changed = trivial_augment(batch, every, levels, signs)
            tiles: list[Tile | None] = [tile(image, "original") if row == 0 else None]
            for index, result in enumerate(changed):
                varies = bool(MAGNITUDES[index].any())
                caption = _magnitude(index, level, turned) if varies else ""
                tiles.append(tile(result, caption) if varies or row == 0 else None)
            first = number == 0 and row == 0
            title = "TrivialAugment: one of these operations a sample, at one of 31 magnitudes"
            yield Row(tiles, title if first else "", ("", *OPERATIONS) if first else ())


def _magnitude(index: int, level: int, turned: bool) -> str:
    value = float(MAGNITUDES[index, level]) * (-1 if turned and SIGNED[index] else 1)
    return _UNITS.get(OPERATIONS[index], "{:+.2f}").format(value)


def _samples(images: Tensor, seed: int) -> Iterator[Row]:
    for index, image in enumerate(images):
        batch = image.expand(len(OPERATIONS), *image.shape)
        results = _augmented(batch, seed, "samples", index)
        title = "Whole pipeline: crop, flip, one operation, erasing, drawn for each sample"
        tiles: list[Tile | None] = [tile(image, "original")]
        tiles += [tile(result, "") for result in pixels_of(results)]
        yield Row(tiles, title if index == 0 else "")


def _mixes(images: Tensor, seed: int) -> Iterator[Row]:
    samples = _augmented(images, seed, "mixed", 0)
    labels = torch.zeros(len(images), dtype=torch.int64)
    height, width = samples.shape[2:]
    for name, mixup, cutmix in (("MixUp", 0.8, 0.0), ("CutMix", 0.0, 1.0)):
        tiles: list[Tile | None] = [None]
        for index in islice(cycle(range(len(images))), len(OPERATIONS)):
            generator = stream(seed, "sheet", name, len(tiles))
            mixture = draw_mixture(height, width, generator, mixup=mixup, cutmix=cutmix)
            mixed, _ = apply_mixture(samples, labels, 1, mixture)
            own = round(100 * mixture.share)
            tiles.append(tile(pixels_of(mixed)[index], f"{own} % + {100 - own} %"))
        yield Row(tiles, f"{name} of two such samples; their shares in picture and target")


def _augmented(images: Tensor, seed: int, purpose: str, index: int) -> Tensor:
    plan = Augmentation(size=min(images.shape[2:]), crop_area=0.35)
    return augment(images, plan, stream(seed, "sheet", purpose, index))


def pixels_of(images: Tensor) -> Tensor:
    """Normalised pictures as uint8 again."""
    return images.mul(127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)
