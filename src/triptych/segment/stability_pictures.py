"""Pictures of how stable labels are: the worst moments, and the course over time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from triptych.data.classes import ClassSet
from triptych.data.labelled import Image, LabelMap
from triptych.draw import BACKGROUND, TEXT, Panel, Sheet, colour, count_labels

CHANGED = np.uint8(255)
LOST = np.array((40, 60, 120), np.uint8)
"""Pixels that could not be followed: no class has this blue, and it stays behind the white."""

SIZE = 960, 360
"""Width and height of the course over time."""
LINES = (
    (86, 180, 233), (230, 159, 0), (0, 190, 130), (204, 121, 167), (240, 228, 66), (213, 94, 0),
)  # fmt: skip
"""Okabe and Ito's colours that stand out from a dark background."""
GRID = (70, 70, 70)
STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


@dataclass(frozen=True, eq=False)
class Moment:
    """Two frames, one after the other, and what changed between them in a model's labels."""

    name: str
    time: float
    """Of the later frame, in seconds."""
    image: Image
    """The earlier frame (H, W, 3)."""
    before: LabelMap
    after: LabelMap
    changed: NDArray[np.bool_]
    followed: NDArray[np.bool_]
    """Pixels of the earlier frame, at the size of the flow (h, w)."""
    consistency: float


def moment_picture(moment: Moment, name: str, classes: ClassSet) -> Pillow.Image:
    """The earlier frame, its labels, the later frame's, and what changed."""
    panels = [
        Panel(f"before {moment.name} · {moment.time:.2f} s"),
        Panel(name, classes),
        Panel(f"{name}, one frame later", classes),
        Panel(f"white: {1 - moment.consistency:.1%} changed; blue: not followed"),
    ]
    height, width = moment.before.shape
    sheet = Sheet(panels, height, width)
    canvas = sheet.blank()
    sheet.view(canvas, 0)[:] = moment.image
    colour(moment.before, classes, sheet.view(canvas, 1))
    colour(moment.after, classes, sheet.view(canvas, 2))
    dimmed = cv2.cvtColor(moment.image, cv2.COLOR_RGB2GRAY)[..., None] // 2
    changed, followed = (
        cv2.resize(each.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        for each in (moment.changed, moment.followed)
    )
    shown = np.where(followed[..., None], dimmed, dimmed // 2 + LOST // 2)
    sheet.view(canvas, 3)[:] = np.where(changed[..., None], CHANGED, shown)
    counts = (None, count_labels(moment.before), count_labels(moment.after), None)
    sheet.explain(canvas, counts)
    return Pillow.fromarray(canvas)


def over_time(
    names: Sequence[str],
    overall: Sequence[float | None],
    times: Sequence[float],
    history: Sequence[Sequence[float | None]],
) -> Pillow.Image:
    """The consistency of each model over the seconds of the video.

    `history` has a row for each of the `times`, with a value for each model, None where a pair of
    frames is not judged. Of frames that share a column of the picture the lowest value is shown.
    """
    scale = 2  # drawn large, then reduced: Pillow's lines have hard edges
    width, height = (scale * side for side in SIZE)
    picture = Pillow.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(13 * scale)
    left, right, bottom = 64 * scale, width - 20 * scale, height - 46 * scale
    top = _legend(draw, font, names, overall, left, right, scale) + 14 * scale
    values = [value for row in history for value in row if value is not None]
    first, last = (times[0], times[-1]) if times else (0.0, 0.0)
    span = max(last - first, 1e-6)
    low, step = _floor(min(values, default=1.0))

    def across(time: float) -> float:
        return left + (time - first) / span * (right - left)

    def down(value: float) -> float:
        return bottom - (value - low) / (1 - low) * (bottom - top)

    for number in range(round((1 - low) / step) + 1):
        value = low + number * step
        draw.line([(left, down(value)), (right, down(value))], GRID, scale)
        digits = 0 if step >= 0.01 else 1
        draw.text((left - 8 * scale, down(value)), f"{value:.{digits}%}", TEXT, font, "rm")
    tick = next((each for each in SECONDS if span / each <= 12), 7200)
    for number in range(int(np.ceil(first / tick - 1e-9)), int(np.floor(last / tick + 1e-9)) + 1):
        x = across(number * tick)
        draw.line([(x, bottom), (x, bottom + 4 * scale)], TEXT, scale)
        draw.text((x, bottom + 6 * scale), f"{number * tick:g}", TEXT, font, "ma")
    draw.text(((left + right) / 2, height - 4 * scale), "seconds", TEXT, font, "md")
    for index in range(len(names)):
        course = [row[index] for row in history]
        _line(draw, times, course, across, down, LINES[index % len(LINES)], 2 * scale)
    return picture.reduce(scale)


def _floor(lowest: float) -> tuple[float, float]:
    """Where the axis begins, below the lowest value, and the distance of its lines."""
    step = next(each for each in STEPS if (1 - lowest) / each <= 6 or each == STEPS[-1])
    return max(0.0, 1 - step * max(1, int(np.ceil((1 - lowest) / step)))), step


def _legend(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    names: Sequence[str],
    overall: Sequence[float | None],
    left: int,
    right: int,
    scale: int,
) -> int:
    """Each model's line, name and overall consistency, in rows; returns where the last ends."""
    x, y, row = left, 10 * scale, 20 * scale
    heading = "pixels that keep their class from frame to frame"
    draw.text((x, y), heading, TEXT, font)
    y += row
    for index, (name, score) in enumerate(zip(names, overall, strict=True)):
        text = name if score is None else f"{name} {score:.2%}"
        needed = round(font.getlength(text)) + 52 * scale
        if x + needed > right and x > left:
            x, y = left, y + row
        tint = LINES[index % len(LINES)]
        draw.line([(x, y + row // 2 - 2 * scale), (x + 22 * scale, y + row // 2 - 2 * scale)],
                  tint, 3 * scale)  # fmt: skip
        draw.text((x + 28 * scale, y), text, TEXT, font)
        x += needed
    return y + row


def _line(
    draw: ImageDraw.ImageDraw,
    times: Sequence[float],
    values: Sequence[float | None],
    across: Callable[[float], float],
    down: Callable[[float], float],
    tint: tuple[int, int, int],
    width: int,
) -> None:
    """A line through the values, with gaps where there is none."""
    lowest: dict[int, float | None] = {}
    for time, value in zip(times, values, strict=True):
        column = round(across(time) / width) * width
        known = lowest.get(column)
        if value is None:
            lowest.setdefault(column, None)
        elif known is None or value < known:
            lowest[column] = value
    part: list[tuple[float, float]] = []
    for column, value in [*sorted(lowest.items()), (0, None)]:
        if value is not None:
            part.append((column, down(value)))
            continue
        if len(part) == 1:  # alone between two gaps: a line would not show
            x, y = part[0]
            draw.ellipse((x - width, y - width, x + width, y + width), tint)
        draw.line(part, tint, width, "curve")
        part = []
