"""Boxes on a picture: what was found with its score, and dashed what is there."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from triptych.data.boxes import Objects
from triptych.data.labelled import Image
from triptych.detect.detections import Detections

Colour = tuple[int, int, int]

_DARK, _LIGHT = (16, 16, 16), (255, 255, 255)
_GOLDEN = 0.618034
"""Of a turn between the hues of two classes, so that neighbours never look alike."""


def class_colour(label: int) -> Colour:
    """A strong colour for a class, the same in every picture."""
    value, strength = ((1.0, 0.85), (0.8, 1.0), (1.0, 0.55))[label % 3]
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1, strength, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_boxes(
    image: Image,
    classes: Sequence[str],
    detections: Detections | None = None,
    objects: Objects | None = None,
    *,
    score: float = 0.5,
) -> Image:
    """A copy of the picture (H, W, 3) with boxes in the colours of their classes.

    Detections of at least `score` have solid boxes with name and score in percent, the surest on
    top. Objects have dashed boxes, with their name unless they do not count (difficult, crowds) or
    a detection of their class says it already. Letters are 11 pixels high in pictures of up to 550
    pixels.
    """
    canvas = Pillow.fromarray(image).convert("RGB")
    draw = ImageDraw.Draw(canvas)
    size = min(max(max(canvas.size) // 50, 11), 36)
    line = max(2, size // 6)
    found = None
    if detections is not None:
        shown = detections.limited(score, len(detections))
        found = shown.take(np.arange(len(shown))[::-1])
    labels = _Labels(draw, size, canvas.size)
    named: list[tuple[NDArray[np.float32], str, Colour]] = []
    if objects is not None:
        for number in np.argsort(np.prod(objects.boxes[:, 2:] - objects.boxes[:, :2], axis=1)):
            box, label = objects.boxes[number], int(objects.labels[number])
            _dashed(draw, box, class_colour(label), line)
            said = found is not None and (found.labels == label).any()
            if not said and not objects.ignored[number]:
                named.append((box, classes[label], class_colour(label)))
    if found is not None:
        for box, share, label in zip(found.boxes, found.scores, found.labels, strict=True):
            _solid(draw, box, class_colour(label), line)
            named.append((box, f"{classes[label]} {100 * share:.0f}", class_colour(label)))
    # Names last, so that no line crosses them; the surest and the largest choose their place first.
    for box, text, colour in reversed(named):
        labels.put(box, text, colour)
    return np.asarray(canvas)


class _Labels:
    """Names beside their boxes, none over another while there is room."""

    def __init__(self, draw: ImageDraw.ImageDraw, size: int, picture: tuple[int, int]) -> None:
        self._draw, self._size, self._picture = draw, size, picture
        self._font = ImageFont.load_default(size)
        self._taken: list[tuple[float, float, float, float]] = []

    def put(self, box: NDArray[np.float32], text: str, colour: Colour) -> None:
        """Above the box, else inside it, else below it, else above whatever is there."""
        width = self._font.getlength(text) + self._size // 2
        height = round(self._size * 1.25)
        x1, y1, _, y2 = box.tolist()
        left = min(max(x1, 0), max(self._picture[0] - width, 0))
        tops = [min(max(top, 0), self._picture[1] - height) for top in (y1 - height, y1, y2)]
        places = [(left, top, left + width, top + height) for top in tops]
        place = next((p for p in places if not self._covered(p)), places[0])
        self._taken.append(place)
        self._draw.rectangle(place, colour)
        bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140
        middle = (place[0] + self._size // 4, (place[1] + place[3]) / 2)
        self._draw.text(middle, text, _DARK if bright else _LIGHT, self._font, anchor="lm")

    def _covered(self, place: tuple[float, float, float, float]) -> bool:
        return any(
            place[0] < other[2] and other[0] < place[2]
            and place[1] < other[3] and other[1] < place[3]
            for other in self._taken
        )  # fmt: skip


def _solid(draw: ImageDraw.ImageDraw, box: NDArray[np.float32], colour: Colour, line: int) -> None:
    """A frame inside the box, between dark lines that part it from any background."""
    x1, y1, x2, y2 = _pixels(box)
    draw.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_DARK)
    draw.rectangle((x1, y1, x2, y2), outline=colour, width=line)


def _dashed(draw: ImageDraw.ImageDraw, box: NDArray[np.float32], colour: Colour, line: int) -> None:
    """A frame of dashes with dark gaps."""
    x1, y1, x2, y2 = _pixels(box)
    draw.rectangle((x1, y1, x2, y2), outline=_DARK, width=line)
    for start, end in _dashes(x1, x2, 3 * line):
        for y in (y1, y2 - line + 1):
            draw.rectangle((start, y, end, y + line - 1), colour)
    for start, end in _dashes(y1, y2, 3 * line):
        for x in (x1, x2 - line + 1):
            draw.rectangle((x, start, x + line - 1, end), colour)


def _dashes(start: int, end: int, length: int) -> Iterator[tuple[int, int]]:
    """Pixels (first, last) of every second piece of a line."""
    for first in range(start, end + 1, 2 * length):
        yield first, min(first + length - 1, end)


def _pixels(box: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """First and last pixel, at least one."""
    x1, y1, x2, y2 = np.round(box).astype(int).tolist()
    return x1, y1, max(x2 - 1, x1), max(y2 - 1, y1)
