"""Colours of the street, and the shadow under things."""

from __future__ import annotations

import numpy as np

from triptych.data.streets.faces import AHEAD, GROUND, RIGHT, Builder, Colour, disc, rect

GLASS, TYRE, METAL = (0.14, 0.18, 0.22), (0.05, 0.05, 0.055), (0.45, 0.46, 0.48)
PAINTS: tuple[Colour, ...] = (
    (0.85, 0.85, 0.86), (0.60, 0.62, 0.64), (0.10, 0.10, 0.11), (0.32, 0.33, 0.35),
    (0.62, 0.10, 0.09), (0.12, 0.22, 0.50), (0.10, 0.30, 0.22), (0.70, 0.60, 0.42),
    (0.82, 0.66, 0.12), (0.30, 0.42, 0.58), (0.45, 0.25, 0.16),
)  # fmt: skip
SKINS: tuple[Colour, ...] = ((0.85, 0.66, 0.54), (0.72, 0.52, 0.40), (0.45, 0.30, 0.22))
RED, AMBER, GREEN = (0.9, 0.08, 0.05), (0.95, 0.6, 0.05), (0.1, 0.85, 0.4)
WARM, TAIL = (1.0, 0.9, 0.7), (1.0, 0.06, 0.04)


def pick(b: Builder, colours: tuple[Colour, ...], spread: float = 0.05) -> Colour:
    """One of the colours, lighter or darker and a little off in hue."""
    base = np.array(colours[b.rng.integers(len(colours))])
    mixed = base * b.rng.uniform(0.8, 1.15) + b.rng.normal(0, spread, 3)
    red, green, blue = np.clip(mixed, 0.02, 1).tolist()
    return red, green, blue


def shadow(b: Builder, width: float, length: float, ground: str, back: float = 0.0) -> None:
    """The dark patch under a thing, on ground of this class."""
    label, owner, part = b.label, b.owner, b.part
    b.stuff(ground)
    b.part = 9
    outline = [(0.5 * width * x, 0.5 * length * y + back) for x, y in disc(1.08, corners=14)]
    if length > 2:
        outline = rect(-0.52 * width, 0.52 * width, back - 0.51 * length, back + 0.51 * length)
    tone = (0.105, 0.105, 0.11)
    b.face(outline, tone, (0, 0, 0), RIGHT, AHEAD, layer=GROUND, cast=True, texture="asphalt")
    b.label, b.owner, b.part = label, owner, part
