"""Drawing label maps: colours, blending, and panels side by side over a strip that explains them.

Everything that runs for each frame is one pass of OpenCV over the pixels, without Python's lock;
text is drawn once and pasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from triptych.data.classes import ClassSet
from triptych.data.labelled import Image, LabelMap

BACKGROUND = (24, 24, 24)
TEXT = (235, 235, 235)


def colour(labels: LabelMap, classes: ClassSet, into: Image | None = None) -> Image:
    """Label map (H, W) in the colours of its classes, (H, W, 3); void is black.

    `into` is a picture, or a view of one, that takes the result.
    """
    target = np.empty((*labels.shape, 3), np.uint8) if into is None else into
    cv2.applyColorMap(labels, _palette(classes), target)
    return target


@lru_cache(maxsize=16)
def _palette(classes: ClassSet) -> NDArray[np.uint8]:
    return classes.palette()[:, None]


def blend(image: Image, colours: Image, alpha: float, into: Image | None = None) -> Image:
    """`alpha` × colours + (1 - alpha) × image, both (H, W, 3)."""
    target = np.empty_like(image) if into is None else into
    cv2.addWeighted(image, 1 - alpha, colours, alpha, 0, target)
    return target


def count_labels(labels: LabelMap, where: NDArray[np.uint8] | None = None) -> NDArray[np.int64]:
    """Number of pixels with each id, shape (256,); only where the mask (H, W) is not 0."""
    # OpenCV's histogram is five times as fast as numpy's and lets other threads run, but counts in
    # float32, which is exact up to 2^24: rows are taken in pieces no larger than that.
    rows = max(1, 2**24 // max(1, labels.shape[1]))
    total = np.zeros(256, np.int64)
    for top in range(0, labels.shape[0], rows):
        piece = slice(top, top + rows)
        mask = None if where is None else where[piece]
        counts = cv2.calcHist([labels[piece]], [0], mask, [256], [0, 256])
        total += counts.ravel().astype(np.int64)
    return total


@dataclass(frozen=True)
class Panel:
    """One picture of a sheet."""

    title: str
    classes: ClassSet | None = None
    """Whose colours it shows; None for a plain picture."""
    room_for: tuple[int, ...] | None = None
    """Ids that the strip has room for, where there is some; None for all of `classes`."""

    def all_ids(self) -> tuple[int, ...]:
        if self.room_for is not None or self.classes is None:
            return self.room_for or ()
        return tuple(range(len(self.classes)))


class Sheet:
    """Panels of one size side by side, each over a strip with its name and its classes.

    The strip lies below the pictures and hides nothing; it takes at most a third of their height.
    Width and height are even, as yuv420p needs; a missing
    column or row is background.
    """

    def __init__(self, panels: Sequence[Panel], height: int, width: int) -> None:
        """`height` and `width` of one panel, in pixels."""
        self.panels = tuple(panels)
        self.panel_height, self.panel_width = height, width
        self._text = _text_size(width)
        rows = 1 + max(len(self._flow(panel, panel.all_ids())) for panel in self.panels)
        line = _line_height(self._text)
        strip = max(line, min(rows * line, height // 3)) + self._text // 2
        self._shape = (
            (height + strip + 1) // 2 * 2,
            (width * len(self.panels) + 1) // 2 * 2,
        )
        self._lines = strip // line

    @property
    def height(self) -> int:
        return self._shape[0]

    @property
    def width(self) -> int:
        return self._shape[1]

    def blank(self) -> Image:
        """A new sheet (H, W, 3) with empty panels and strips."""
        sheet = np.empty((*self._shape, 3), np.uint8)
        sheet[:] = BACKGROUND
        return sheet

    def view(self, sheet: Image, panel: int) -> Image:
        """The picture of one panel, a view into the sheet."""
        left = panel * self.panel_width
        return sheet[: self.panel_height, left : left + self.panel_width]

    def explain(self, sheet: Image, counts: Sequence[NDArray[np.int64] | None]) -> None:
        """Paste the strips: each panel's name and the classes that occur, in order of id.

        `counts` holds, for each panel, the pixels by label id (256,), None for a plain picture.
        Where not all fit, the ones with the most pixels stay.
        """
        for index, (panel, pixels) in enumerate(zip(self.panels, counts, strict=True)):
            left = index * self.panel_width
            height = self.height - self.panel_height
            ids = self._fitting(panel, pixels)
            sheet[self.panel_height :, left : left + self.panel_width] = _draw_strip(
                panel, ids, height, self.panel_width, self._text
            )

    def _flow(self, panel: Panel, ids: Sequence[int]) -> list[list[int]]:
        return _flow(panel.classes, ids, self.panel_width, self._text)

    def _fitting(self, panel: Panel, counts: NDArray[np.int64] | None) -> tuple[int, ...]:
        if panel.classes is None or counts is None:
            return ()
        by_share = np.argsort(-counts[: len(panel.classes)], kind="stable").tolist()
        ids = [label for label in by_share if counts[label]]
        while ids and len(self._flow(panel, sorted(ids))) > self._lines - 1:
            ids.pop()
        return tuple(sorted(ids))


def _text_size(width: int) -> int:
    """Height of the letters in pixels: readable at the panel's full size, small beside it."""
    return min(max(width // 50, 10), 36)


def _line_height(size: int) -> int:
    return round(size * 1.5)


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _flow(classes: ClassSet | None, ids: Sequence[int], width: int, size: int) -> list[list[int]]:
    """Ids in lines no wider than `width`."""
    lines: list[list[int]] = []
    used = 0
    for label in ids:
        assert classes is not None
        needed = _entry_width(classes.names[label], size)
        if not lines or used + needed > width - size // 2:
            lines.append([])
            used = 0
        lines[-1].append(label)
        used += needed
    return lines


def _entry_width(name: str, size: int) -> int:
    """Of a swatch, a name and the space after it."""
    return round(_font(size).getlength(name)) + size * 9 // 4


@lru_cache(maxsize=64)
def _draw_strip(panel: Panel, ids: tuple[int, ...], height: int, width: int, size: int) -> Image:
    picture = Pillow.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    font, line, margin = _font(size), _line_height(size), size // 2
    draw.text((margin, margin // 2), panel.title, TEXT, font)
    for row, labels in enumerate(_flow(panel.classes, ids, width, size), 1):
        assert panel.classes is not None
        left, top = margin, margin // 2 + row * line
        for label in labels:
            name, tint = panel.classes.names[label], panel.classes.colours[label]
            box = (left, top + size // 6, left + size, top + size // 6 + size)
            draw.rectangle(box, tint, outline=TEXT)
            draw.text((left + size * 3 // 2, top), name, TEXT, font)
            left += _entry_width(name, size)
    return np.asarray(picture)
