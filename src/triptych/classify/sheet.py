"""A sheet of what augmentation does: operations at several magnitudes, whole samples, mixes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
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
from triptych.data.labelled import Image
from triptych.draw import BACKGROUND, TEXT
from triptych.training.seeding import stream

SHOWN = 3
"""Pictures that are shown with every operation."""
LEVELS = ((10, False), (20, True), (30, False))
"""Rows of each of them: index of the magnitude, and whether its sign is turned."""

_TILE, _GAP, _CAPTION, _TITLE = 96, 6, 16, 44
_FAINT = (160, 160, 160)
_UNITS = {
    "TranslateX": "{:+.0f} px",
    "TranslateY": "{:+.0f} px",
    "Rotate": "{:+.0f}°",
    "Posterize": "{:.0f} bits",
    "Solarize": "from {:.0f}",
}
"""How magnitudes are written; the others are shares with a sign."""


@dataclass(frozen=True)
class Tile:
    """A small picture (H, W, 3) with words below it."""

    image: Image
    caption: str


@dataclass(frozen=True)
class Row:
    """Tiles from left to right, None for a gap; a title and names of columns above, if any."""

    tiles: list[Tile | None]
    title: str = ""
    names: tuple[str, ...] = ()


def augmentation_sheet(images: Tensor, out: Path, seed: int) -> None:
    """Write a labelled PNG about pictures (n, 3, H, W) uint8 on the CPU; n is at least 1.

    Above, one column an operation of TrivialAugment, and for each of SHOWN pictures one row a
    magnitude. Below, samples of the whole pipeline (crops of at least 0.35 of the area, erasing
    0.25), and mixes of two such samples. The same seed gives the same sheet.
    """
    rows = [*_operations(images[:SHOWN]), *_samples(images[:SHOWN], seed), *_mixes(images, seed)]
    out.parent.mkdir(parents=True, exist_ok=True)
    _paint(rows).save(out, "PNG")


def _operations(images: Tensor) -> Iterator[Row]:
    every = torch.arange(len(OPERATIONS))
    for number, image in enumerate(images):
        for row, (level, turned) in enumerate(LEVELS):
            batch = image.expand(len(every), *image.shape)
            levels, signs = torch.full_like(every, level), torch.full_like(every, turned).bool()
            changed = trivial_augment(batch, every, levels, signs)
            tiles: list[Tile | None] = [_tile(image, "original") if row == 0 else None]
            for index, result in enumerate(changed):
                varies = bool(MAGNITUDES[index].any())
                caption = _magnitude(index, level, turned) if varies else ""
                tiles.append(_tile(result, caption) if varies or row == 0 else None)
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
        tiles: list[Tile | None] = [_tile(image, "original")]
        tiles += [_tile(result, "") for result in _pixels(results)]
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
            tiles.append(_tile(_pixels(mixed)[index], f"{own} % + {100 - own} %"))
        yield Row(tiles, f"{name} of two such samples; their shares in picture and target")


def _augmented(images: Tensor, seed: int, purpose: str, index: int) -> Tensor:
    plan = Augmentation(size=min(images.shape[2:]), crop_area=0.35)
    return augment(images, plan, stream(seed, "sheet", purpose, index))


def _pixels(images: Tensor) -> Tensor:
    """Normalised pictures as uint8 again."""
    return images.mul(127.5).add_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def _tile(image: Tensor, caption: str) -> Tile:
    """Enlarged by a whole number without smoothing, or shrunk, to fit a tile."""
    picture = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
    height, width = picture.shape[:2]
    scale = _TILE / max(height, width)
    if scale >= 1:
        factor = int(scale)
        return Tile(picture.repeat(factor, 0).repeat(factor, 1), caption)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return Tile(np.asarray(small, np.uint8), caption)


def _paint(rows: list[Row]) -> Pillow.Image:
    font, large = ImageFont.load_default(11), ImageFont.load_default(15)
    pitch = _TILE + _GAP
    columns = max(len(row.tiles) for row in rows)
    heights = [_TILE + _CAPTION + _GAP + _above(row) for row in rows]
    sheet = Pillow.new("RGB", (columns * pitch + _GAP, sum(heights) + _GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        if row.title:
            draw.text((_GAP, top + 10), row.title, TEXT, large)
        below = top + _above(row)
        for column, name in enumerate(row.names):
            middle = _GAP + column * pitch + _TILE // 2
            draw.text((middle, below - _CAPTION), name, TEXT, font, anchor="ma")
        for column, tile in enumerate(row.tiles):
            if tile is None:
                continue
            middle = _GAP + column * pitch + _TILE // 2
            tall, wide = tile.image.shape[:2]
            corner = (middle - wide // 2, below + (_TILE - tall) // 2)
            sheet.paste(Pillow.fromarray(tile.image), corner)
            draw.text((middle, below + _TILE + 1), tile.caption, _FAINT, font, anchor="ma")
        top += height
    return sheet


def _above(row: Row) -> int:
    """Pixels above a row's tiles."""
    return (_TITLE if row.title else 0) + (_CAPTION if row.names else 0)
