"""What stands at the road, of flat faces: people, trees, lamps, lights, signs, fences, houses.

Every function puts one where the builder stands (`Builder.at`); fronts look back along the road.
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import Any

import numpy as np

from triptych.data.streets.faces import (
    AHEAD,
    RIGHT,
    UP,
    Builder,
    Colour,
    Point,
    disc,
    rect,
    shade,
    stroke,
)
from triptych.data.streets.palette import (
    AMBER,
    GREEN,
    METAL,
    PAINTS,
    RED,
    SKINS,
    WARM,
    pick,
    shadow,
)


def _limb(
    b: Builder, colour: Colour, top: Point, length: float, width: float, swing: float, phase: float
) -> None:
    """An arm or a leg that swings from its joint as its owner walks."""
    outline = stroke((0, 0.03), (0, -length), width, 0.65)
    rate = 0.45 if abs(b.speed) > 0 else 0.0
    b.face(outline, colour, (top[0], top[1], 0), swing=(swing, rate, phase), texture="cloth")


def person(b: Builder, ground: str, walking: float = 0.5) -> None:
    """Somebody on foot, seen flat from the front or the back; `walking`: stride in radians."""
    b.thing("person")
    shadow(b, 0.75, 0.4, ground)
    tall = b.rng.uniform(0.88, 1.08)
    top, legs, skin = pick(b, PAINTS), pick(b, PAINTS[2:8]), pick(b, SKINS, 0.02)
    hair, phase = (
        pick(b, ((0.08, 0.06, 0.05), (0.35, 0.24, 0.12), (0.6, 0.58, 0.55))),
        6 * b.rng.random(),
    )
    skirt = b.rng.random() < 0.2
    for side in (-1, 1):
        limb = skin if skirt else legs
        _limb(b, limb, (side * 0.085, 0.9 * tall), 0.84 * tall, 0.19, side * walking * 0.55, phase)
        arm = (side * 0.23, 1.42 * tall)
        _limb(b, shade(top, 0.85), arm, 0.62 * tall, 0.13, -side * walking * 0.6, phase)
    body = [(-0.17, 0.82), (0.17, 0.82), (0.16, 1.1), (0.24, 1.44), (0.1, 1.51), (-0.1, 1.51)]
    body += [(-0.24, 1.44), (-0.16, 1.1)]
    if skirt:
        body[0], body[1] = (-0.26, 0.5), (0.26, 0.5)
    b.face([(x, y * tall) for x, y in body], top, texture="cloth", tile=1.0)
    b.face(rect(-0.055, 0.055, 1.46 * tall, 1.58 * tall), shade(skin, 0.85))
    b.face(disc(0.13, 0, 1.66 * tall, 10), hair)
    if b.rng.random() < 0.6:
        b.face(disc(0.105, 0, 1.63 * tall, 10), skin)
    if b.rng.random() < 0.35:
        bag = -0.3 if b.rng.random() < 0.5 else 0.12
        b.face(rect(bag, bag + 0.2, 0.75 * tall, 1.1 * tall), pick(b, PAINTS))


def tree(b: Builder, leaf: tuple[Colour, Colour], size: float = 1.0) -> None:
    b.stuff("vegetation")
    high = size * b.rng.uniform(5.0, 8.0)
    bark = pick(b, ((0.24, 0.19, 0.15), (0.35, 0.31, 0.27)), 0.02)
    b.face(stroke((0, 0), (0, 0.55 * high), 0.34 * size, 0.7), bark, texture="boards", tile=1.5)
    tone = b.rng.uniform(0.8, 1.15)
    for k in range(5):
        radius = high * b.rng.uniform(0.2, 0.27)
        x, y = high * b.rng.uniform(-0.2, 0.2), high * (0.5 + 0.1 * k)
        x = 0.0 if k == 4 else x
        light = tone * (0.62 + 0.1 * k)
        foliage(b, leaf, radius, x, y, light)


def foliage(
    b: Builder, leaf: tuple[Colour, Colour], radius: float, x: float, y: float, light: float,
    squash: float = 0.85,
) -> None:  # fmt: skip
    """One ragged clump of leaves."""
    reach = radius * (1 + 0.13 * b.rng.standard_normal(22))
    turns = np.linspace(0, 2 * pi, 22, endpoint=False)
    points = np.stack([x + reach * np.cos(turns), y + squash * reach * np.sin(turns)], 1)
    dark, bright = (shade(colour, light) for colour in leaf)
    b.face(points.tolist(), dark, second=bright, texture="leaves", tile=3.2)


def hedge(b: Builder, leaf: tuple[Colour, Colour], width: float, height: float) -> None:
    b.stuff("vegetation")
    dark, bright = leaf
    top = [(x, height + b.rng.normal(0, 0.07)) for x in np.linspace(width / 2, -width / 2, 12)]
    b.block(width, height, 0.8, dark, second=bright, texture="leaves", tile=2.5)
    b.face([(-width / 2, 0), (width / 2, 0), *top], dark, second=bright, texture="leaves", tile=2.5)


def pole(b: Builder, height: float, width: float = 0.12, colour: Colour = METAL) -> None:
    b.stuff("pole")
    b.face(stroke((0, 0), (0, height), width, 0.8), colour)


def lamp(b: Builder, inward: float) -> None:
    """A street lamp whose arm reaches over the road."""
    pole(b, 6.6, 0.16, (0.36, 0.38, 0.38))
    b.face(stroke((0, 6.5), (inward * 1.6, 7.0), 0.1), (0.36, 0.38, 0.38))
    head = [(1.3, 6.88), (2.2, 7.0), (2.2, 7.12), (1.3, 7.06)]
    b.face([(inward * x, y) for x, y in head], (0.3, 0.31, 0.32), glow=(0.9, 0.7, 0.4))
    glass = rect(1.4, 2.1, 6.8, 6.94)
    b.face([(inward * x, y) for x, y in glass], (0.8, 0.8, 0.75), glow=(1.6, 1.3, 0.8))


def traffic_light(b: Builder, inward: float, state: int) -> None:
    """Lights at the roadside and on an arm; `state` 0, 1, 2: red, amber, green."""
    pole(b, 5.6, 0.17)
    b.face(stroke((0, 5.45), (inward * 4.2, 5.6), 0.12), METAL)
    for x, y in ((0.0, 2.5), (inward * 3.9, 4.7)):
        b.thing("traffic light")
        b.block(0.44, 1.2, 0.25, (0.07, 0.08, 0.07), x=x, y=y, z=-0.2)
        for k, colour in enumerate((RED, AMBER, GREEN)):
            spot = disc(0.15, x, y + 0.97 - 0.37 * k, 10)
            glow = shade(colour, 1.0) if k == state else (0, 0, 0)
            b.rear(spot, shade(colour, 0.95 if k == state else 0.2), -0.22, glow=glow, always=0.8)


def sign(b: Builder, high: float = 2.3) -> None:
    """A traffic sign on its pole."""
    pole(b, high + 0.3, 0.09)
    b.thing("traffic sign")
    white, dark, kind = (0.88, 0.88, 0.86), (0.08, 0.08, 0.09), int(b.rng.integers(6))
    y, blue, red = high, (0.08, 0.25, 0.62), (0.75, 0.08, 0.08)
    if kind == 0:
        b.face(disc(0.38, 0, y, 16), red)
        b.face(disc(0.28, 0, y, 16), white)
        b.face(rect(-0.17, -0.03, y - 0.12, y + 0.12), dark)
        b.face(rect(0.03, 0.17, y - 0.12, y + 0.12), dark)
    elif kind == 1:
        b.face([(-0.46, y - 0.32), (0.46, y - 0.32), (0, y + 0.46)], red)
        b.face([(-0.29, y - 0.22), (0.29, y - 0.22), (0, y + 0.27)], white)
        b.face(rect(-0.04, 0.04, y - 0.15, y + 0.1), dark)
    elif kind == 2:
        b.face(rect(-0.36, 0.36, y - 0.36, y + 0.36), blue)
        b.face([(-0.25, y - 0.3), (0.25, y - 0.3), (0, y + 0.25)], white)
    elif kind == 3:
        b.face(disc(0.42, 0, y, 8), red)
        b.face(rect(-0.28, 0.28, y - 0.08, y + 0.08), white)
    elif kind == 4:
        b.face(
            disc(0.46, 0, y, 4)[:4] and [(0.46, y), (0, y + 0.46), (-0.46, y), (0, y - 0.46)], white
        )
        b.face([(0.34, y), (0, y + 0.34), (-0.34, y), (0, y - 0.34)], (0.9, 0.7, 0.08))
    else:
        b.face(disc(0.38, 0, y, 16), blue)
        b.face(stroke((0, y - 0.25), (0, y + 0.1), 0.12), white)
        b.face([(-0.18, y + 0.05), (0.18, y + 0.05), (0, y + 0.28)], white)


def gantry(b: Builder, inward: float) -> None:
    """A large direction board on an arm."""
    pole(b, 6.2, 0.24)
    b.face(stroke((0, 5.9), (inward * 4.6, 5.9), 0.16), METAL)
    b.thing("traffic sign")
    board = pick(b, ((0.06, 0.22, 0.55), (0.05, 0.38, 0.2)), 0.02)
    x = inward * 3.0
    b.face(rect(x - 1.6, x + 1.6, 4.9, 6.4), (0.85, 0.85, 0.84))
    b.face(rect(x - 1.52, x + 1.52, 4.98, 6.32), board)
    for y in (5.95, 5.4):
        long = b.rng.uniform(0.7, 1.7)
        b.face(rect(x - 1.3, x - 1.3 + long, y - 0.13, y + 0.13), (0.85, 0.85, 0.84))
    b.face(stroke((x + 0.9, 5.15), (x + 0.9, 5.9), 0.14), (0.85, 0.85, 0.84))
    b.face([(x + 0.65, 5.8), (x + 1.15, 5.8), (x + 0.9, 6.15)], (0.85, 0.85, 0.84))


def fence(b: Builder, width: float) -> None:
    b.stuff("fence")
    colour = pick(b, ((0.75, 0.74, 0.7), (0.35, 0.25, 0.17), (0.2, 0.22, 0.22), (0.5, 0.5, 0.48)))
    high, half = b.rng.uniform(1.0, 1.7), width / 2
    if b.rng.random() < 0.4:
        b.face(rect(-half, half, 0, high), colour, texture="boards", tile=2.5)
        return
    outline: list[Point] = [(-half, 0.2), (half, 0.2)]
    for x in np.arange(half, -half, -0.3):
        outline += [
            (x, 0.32),
            (x, high),
            (x - 0.07, high + 0.07),
            (x - 0.14, high),
            (x - 0.14, 0.32),
        ]
    b.face(outline, colour)
    b.face(rect(-half, half, high - 0.28, high - 0.16), shade(colour, 0.9))
    for x in np.arange(-half, half, 2.0):
        b.face(rect(x, x + 0.12, 0, high + 0.1), shade(colour, 0.8))


def wall(b: Builder, width: float) -> None:
    b.stuff("wall")
    colour = pick(b, ((0.55, 0.53, 0.50), (0.52, 0.32, 0.25), (0.65, 0.60, 0.52)))
    high, texture = b.rng.uniform(1.6, 2.9), "bricks" if b.rng.random() < 0.5 else "concrete"
    b.block(width, high, 0.4, colour, texture=texture, tile=2.0)
    b.block(width, 0.12, 0.55, shade(colour, 1.15), y=high, z=-0.08)
    if b.rng.random() < 0.35:
        paint, x = pick(b, PAINTS), b.rng.uniform(-width / 3, width / 3)
        for k in range(4):
            start, end = (x + 0.7 * k, 0.5), (x + 0.7 * k + b.rng.uniform(-0.3, 0.6), high - 0.5)
            b.rear(stroke(start, end, 0.22), paint, 0.0)


_PLASTER: tuple[Colour, ...] = (
    (0.72, 0.66, 0.55), (0.66, 0.55, 0.44), (0.55, 0.35, 0.28), (0.60, 0.60, 0.58),
    (0.76, 0.74, 0.70), (0.48, 0.46, 0.44), (0.70, 0.60, 0.36), (0.50, 0.55, 0.60),
)  # fmt: skip


def building(b: Builder, width: float, floors: int, shop: bool, gable: bool) -> None:
    """A house along the street: its front looks at the road."""
    b.stuff("building")
    plaster, glass = pick(b, _PLASTER), pick(b, ((0.20, 0.25, 0.31), (0.30, 0.36, 0.42)))
    texture = ("houses", "brickhouses", "offices")[int(b.rng.integers(3))]
    ground = 3.6 if shop else 0.0
    top, half, depth = ground + 3.1 * floors, width / 2, b.rng.uniform(9, 13)
    look: dict[str, Any] = {
        "second": glass,
        "texture": texture,
        "tile": (12.0, 12.4),
        "one_sided": True,
    }
    look["glow"] = shade(WARM, b.rng.uniform(0.35, 0.8))
    for x, a in ((-half, (0, 0, -1)), (half, AHEAD)):
        span = (-depth, 0.0) if x < 0 else (0.0, depth)
        flank = shade(plaster, 0.9)
        windows = {**look, "texture": "concrete" if b.rng.random() < 0.5 else texture}
        if windows["texture"] == "concrete":
            windows["glow"] = (0, 0, 0)
        b.face(rect(*span, 0, ground), flank, (x, 0, 0), a, UP, one_sided=True, texture="concrete")
        b.face(rect(*span, 0, top - ground), flank, (x, ground, 0), a, UP, **windows)
        if gable:
            peak = [(span[0], top), (span[1], top), (sum(span) / 2, top + 3)]
            b.face(peak, flank, (x, 0, 0), a, UP, one_sided=True, texture="concrete")
    b.face(rect(-half, half, 0, top - ground), plaster, (0, ground, 0), **look)
    if shop:
        trade = {
            **look,
            "texture": "shops",
            "tile": (12.0, 3.7),
            "second": pick(b, (glass, *PAINTS[6:10])),
        }
        b.face(rect(-half, half, 0, ground), shade(plaster, 0.85), **trade)
        if b.rng.random() < 0.5:
            x, awning = b.rng.uniform(-half + 1.6, half - 1.6), pick(b, PAINTS)
            slope = (0, cos(0.6), sin(0.6))
            b.face(
                rect(x - 1.5, x + 1.5, -1.3, 0), awning, (0, 2.9, 0), RIGHT, slope, texture="boards"
            )
    else:
        b.rear(rect(-half, half, 0, 0.6), shade(plaster, 0.6), 0.0, texture="concrete")
        x = 3.0 * b.rng.integers(-1, 2)
        b.rear(rect(x - 0.75, x + 0.75, 0, 2.5), shade(plaster, 1.2), 0.0)
        b.rear(rect(x - 0.55, x + 0.55, 0, 2.3), pick(b, PAINTS), 0.0, texture="boards", tile=2.0)
    b.block(width + 0.1, 0.4, 0.6, shade(plaster, 1.15), y=top - 0.2, z=-0.25)
    if gable:
        tiles = pick(b, ((0.45, 0.22, 0.15), (0.25, 0.24, 0.25), (0.40, 0.30, 0.24)))
        rise = np.array([3.0, depth / 2 + 0.3]) / np.hypot(3.0, depth / 2 + 0.3)
        roof = rect(-half - 0.1, half + 0.1, 0, float(np.hypot(3.0, depth / 2 + 0.3)))
        slope = (0, float(rise[0]), float(rise[1]))
        b.face(roof, tiles, (0, top, -0.3), RIGHT, slope, one_sided=True, texture="tiles", tile=4.0)
