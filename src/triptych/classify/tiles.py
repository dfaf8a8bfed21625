"""Small pictures with words below them, in titled rows on one sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from torch import Tensor

from triptych.data.labelled import Image
from triptych.draw import BACKGROUND, TEXT
from triptych.evaluation_folder import writing
from triptych.pictures import write_png

_TILE, _GAP, _CAPTION, _TITLE = 96, 6, 16, 44
_FAINT = (160, 160, 160)


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


def tile(image: Tensor, caption: str) -> Tile:
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


def write_sheet(rows: list[Row], out: Path, columns: int = 1) -> None:
    """Write rows below each other as a PNG; there is at least one. A sheet has room for `columns`
    tiles or more, so that several beside each other have one scale."""
    font, large = ImageFont.load_default(11), ImageFont.load_default(15)
    pitch = _TILE + _GAP
    columns = max(columns, *(len(row.tiles) for row in rows))
    heights = [_TILE + _CAPTION + _GAP + _above(row) for row in rows]
    titles = max(large.getlength(row.title) for row in rows)
    width = max(columns * pitch + _GAP, int(titles) + 2 * _GAP)
    sheet = Pillow.new("RGB", (width, sum(heights) + _GAP), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    top = _GAP
    for row, height in zip(rows, heights, strict=True):
        if row.title:
            draw.text((_GAP, top + 10), row.title, TEXT, large)
        below = top + _above(row)
        for column, name in enumerate(row.names):
            middle = _GAP + column * pitch + _TILE // 2
            draw.text((middle, below - _CAPTION), name, TEXT, font, anchor="ma")
        for column, each in enumerate(row.tiles):
            if each is None:
                continue
            middle = _GAP + column * pitch + _TILE // 2
            tall, wide = each.image.shape[:2]
            corner = (middle - wide // 2, below + (_TILE - tall) // 2)
            sheet.paste(Pillow.fromarray(each.image), corner)
            draw.text((middle, below + _TILE + 1), each.caption, _FAINT, font, anchor="ma")
        top += height
    with writing(out.parent):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_png(out, sheet)


def _above(row: Row) -> int:
    """Pixels above a row's tiles."""
    return (_TITLE if row.title else 0) + (_CAPTION if row.names else 0)
