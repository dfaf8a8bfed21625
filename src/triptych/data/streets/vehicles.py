"""Vehicles of flat faces: cars, trucks, buses, trams, bicycles, motorcycles and their riders.

Every function puts one where the builder stands (`Builder.at`), facing ahead.
"""

from __future__ import annotations

from math import pi

from triptych.data.streets.faces import (
    AHEAD,
    RIGHT,
    UP,
    Builder,
    Point,
    disc,
    rect,
    ring,
    shade,
    stroke,
)
from triptych.data.streets.palette import (
    GLASS,
    METAL,
    PAINTS,
    SKINS,
    TAIL,
    TYRE,
    WARM,
    pick,
    shadow,
)


def _wheels(b: Builder, radius: float, stations: tuple[float, ...], half: float) -> None:
    turn = b.speed / radius
    for z in stations:
        for right in (True, False):
            origin = (half if right else -half, radius, z)
            a = AHEAD if right else (0, 0, -1)
            spin = -turn if right else turn
            b.face(disc(radius, corners=16), TYRE, origin, a, UP, one_sided=True)
            b.face(disc(0.62 * radius, corners=7), METAL, origin, a, UP, one_sided=True, spin=spin)


def _lights(b: Builder, half: float, y: float, rear: float, front: float, lit: bool) -> None:
    tail, head = (TAIL, WARM) if lit else ((0, 0, 0), (0, 0, 0))
    for x in (-half + 0.2, half - 0.2):
        b.rear(rect(x - 0.16, x + 0.16, y - 0.08, y + 0.1), (0.5, 0.05, 0.04), rear, glow=tail)
        b.front(disc(0.13, x, y - 0.1, 8), (0.85, 0.86, 0.85), front, glow=head, always=0.12)


_CARS: tuple[tuple[float, list[Point], list[Point], float], ...] = (
    (0.88, [(-2.2, 0.26), (-2.26, 0.6), (-2.18, 0.95), (-1.5, 1.0), (0.95, 0.98), (2.05, 0.82),
            (2.22, 0.55), (2.2, 0.26)],
     [(-1.7, 0.98), (-1.05, 1.42), (0.2, 1.44), (1.05, 0.97)], 0.7),
    (0.86, [(-1.85, 0.26), (-1.94, 0.6), (-1.9, 1.0), (0.95, 0.98), (1.75, 0.84), (1.95, 0.55),
            (1.92, 0.26)],
     [(-1.88, 0.98), (-1.5, 1.5), (0.1, 1.52), (1.0, 0.97)], 0.7),
    (0.95, [(-2.1, 0.34), (-2.18, 0.7), (-2.12, 1.15), (0.95, 1.13), (2.0, 1.02), (2.2, 0.65),
            (2.16, 0.34)],
     [(-2.1, 1.13), (-1.75, 1.74), (0.2, 1.77), (1.0, 1.12)], 0.78),
    (0.97, [(-2.4, 0.32), (-2.46, 0.7), (-2.44, 1.15), (1.4, 1.15), (2.3, 0.98), (2.46, 0.6),
            (2.42, 0.32)],
     [(-2.44, 1.13), (-2.36, 2.0), (0.95, 2.02), (1.75, 1.1)], 0.86),
)  # fmt: skip
"""Sedan, hatchback, off-roader, van: half width, side view of body and of cabin, its half width."""


def car(b: Builder, lit: bool, kind: int | None = None) -> None:
    half, body, cabin, narrow = _CARS[int(b.rng.integers(4)) if kind is None else kind]
    b.thing("car")
    paint = pick(b, PAINTS)
    shadow(b, 2 * half, body[-1][0] - body[0][0], "road")
    b.prism(body, half, paint, {0: shade(paint, 0.7), len(body) - 2: shade(paint, 0.7)})
    b.prism(cabin, narrow, paint, {0: GLASS, 2: GLASS}, texture="plain")
    (z0, y0), (z1, y1), (z2, y2), (z3, _) = cabin
    low, high, post = y0 + 0.06, y1 - 0.07, -0.45
    b.sides([(z0 + 0.22, low), (post, low), (post, high), (z1 + 0.02, high)], GLASS, narrow)
    b.sides(
        [(post + 0.1, low), (z3 - 0.2, low), (z2, y2 - 0.07), (post + 0.1, high)], GLASS, narrow
    )
    b.sides(rect(body[0][0], body[-1][0], body[0][1], body[0][1] + 0.1), (0.1, 0.1, 0.1), half)
    wheels = body[-1][0] - 0.78, body[0][0] + 0.78
    b.sides([*disc(0.4, wheels[0], 0.33)], (0.06, 0.06, 0.06), half)
    b.sides([*disc(0.4, wheels[1], 0.33)], (0.06, 0.06, 0.06), half)
    _wheels(b, 0.33, wheels, half)
    bumper = body[0][0] - 0.05, body[-1][0] + 0.04
    b.rear(rect(-0.26, 0.26, 0.6, 0.72), (0.8, 0.8, 0.75), bumper[0])
    b.front(rect(-0.5, 0.5, 0.42, 0.6), (0.12, 0.12, 0.13), bumper[1])
    b.front(rect(-0.26, 0.26, 0.45, 0.55), (0.8, 0.8, 0.75), bumper[1])
    _lights(b, half, body[1][1] + 0.22, bumper[0], bumper[1], lit)


def truck(b: Builder, lit: bool) -> None:
    b.thing("truck")
    paint, cargo = pick(b, PAINTS), pick(b, (*PAINTS[:2], *PAINTS))
    long = b.rng.uniform(4.2, 6.0)
    high = b.rng.uniform(2.9, 3.6)
    rear = 1.6 - long
    shadow(b, 2.5, long + 2, "road", (rear + 3.4) / 2)
    b.part = 2.6
    cab = [(1.75, 0.5), (1.75, 2.5), (2.0, 2.75), (2.9, 2.7), (3.3, 1.5), (3.4, 0.5)]
    b.prism(cab, 1.12, paint, {3: GLASS})
    b.sides([(2.2, 1.55), (3.12, 1.55), (2.84, 2.45), (2.2, 2.45)], GLASS, 1.12)
    b.front(rect(-0.9, 0.9, 0.75, 1.25), shade(paint, 0.5), 3.42)
    _wheels(b, 0.48, (2.55,), 1.12)
    b.part = -1.0
    b.prism([(rear, 0.5), (rear, 0.95), (1.6, 0.95), (1.6, 0.5)], 1.1, (0.15, 0.15, 0.16))
    texture = ("plain", "ribs", "cloth")[int(b.rng.integers(3))]
    box = [(rear, 0.95), (rear, high), (1.65, high), (1.65, 0.95)]
    b.prism(box, 1.25, cargo, texture=texture, tile=2.5)
    stripe = pick(b, PAINTS)
    if b.rng.random() < 0.7:
        b.sides(rect(rear + 0.6, 1.1, 1.7, 2.3), stripe, 1.25)
    b.rear(rect(-0.02, 0.02, 1.0, high - 0.05), shade(cargo, 0.4), rear)
    for x in (-1.18, 1.18, -0.3, 0.3):
        b.rear(rect(x - 0.03, x + 0.03, 1.0, high - 0.05), shade(cargo, 0.55), rear)
    _wheels(b, 0.48, (rear + 0.8, rear + 1.85), 1.15)
    b.rear(rect(-1.2, 1.2, 0.5, 0.72), (0.2, 0.2, 0.2), rear - 0.02)
    b.rear(rect(-1.1, 1.1, 0.52, 0.6), (0.75, 0.75, 0.7), rear - 0.02)
    _lights(b, 1.2, 0.85, rear - 0.03, 3.43, lit)


def _windows(
    b: Builder, z0: float, z1: float, count: int, low: float, high: float, x: float
) -> None:
    step = (z1 - z0) / count
    for k in range(count):
        pane = rect(z0 + k * step + 0.08, z0 + (k + 1) * step - 0.08, low, high)
        b.sides(pane, GLASS, x, glow=(0.34, 0.32, 0.25))


def bus(b: Builder, lit: bool) -> None:
    b.thing("bus")
    paint = pick(b, ((0.80, 0.66, 0.12), (0.75, 0.12, 0.10), (0.85, 0.85, 0.86), (0.15, 0.35, 0.6)))
    shadow(b, 2.6, 11, "road")
    shell = [(-5.4, 0.35), (-5.5, 2.8), (-5.2, 3.1), (5.2, 3.1), (5.5, 2.75), (5.5, 0.35)]
    b.prism(shell, 1.27, paint, {0: paint, 4: paint})
    b.sides(rect(-5.4, 5.45, 0.35, 0.75), shade(paint, 0.55), 1.27)
    _windows(b, -5.3, 3.9, 6, 1.45, 2.65, 1.27)
    for z in (4.6, -0.6):
        b.sides(rect(z - 0.55, z + 0.55, 0.5, 2.7), GLASS, 1.27, glow=(0.26, 0.24, 0.19))
    _wheels(b, 0.5, (-3.2, 3.0), 1.28)
    b.rear(rect(-1.0, 1.0, 1.7, 2.6), GLASS, -5.5, glow=(0.3, 0.29, 0.25))
    b.rear(rect(-1.05, 1.05, 0.75, 1.3), shade(paint, 0.6), -5.5)
    b.front(rect(-1.15, 1.15, 1.15, 2.5), GLASS, 5.52, glow=(0.2, 0.2, 0.18))
    amber = (0.9, 0.55, 0.1)
    for sight, z in ((b.rear, -5.53), (b.front, 5.53)):
        sight(rect(-0.8, 0.8, 2.62, 2.92), amber, z, glow=amber, always=0.25)
    _lights(b, 1.25, 0.95, -5.53, 5.54, lit)


def tram(b: Builder, lit: bool) -> None:
    """A tram of three cars, the class train."""
    b.thing("train")
    paint, band = pick(b, PAINTS), pick(b, PAINTS)
    shadow(b, 2.5, 27, "road")
    for middle in (9.2, 0.0, -9.2):
        b.part = middle
        z0, z1 = middle - 4.5, middle + 4.5
        rake = (0.7 if middle < 0 else 0.0, 0.7 if middle > 0 else 0.0)
        shell = [(z0, 0.3), (z0, 1.4), (z0 + rake[0], 3.2), (z0 + rake[0] + 0.2, 3.45)]
        shell += [(z1 - rake[1] - 0.2, 3.45), (z1 - rake[1], 3.2), (z1, 1.4), (z1, 0.3)]
        b.prism(shell, 1.2, paint, {1: GLASS, 5: GLASS})
        b.sides(rect(z0, z1, 0.3, 0.85), shade(band, 0.7), 1.2)
        b.sides(rect(z0 + 0.1, z1 - 0.1, 2.85, 3.1), band, 1.2)
        _windows(b, z0 + rake[0] + 0.1, z1 - rake[1] - 0.1, 5, 1.4, 2.7, 1.2)
        b.sides(rect(middle - 0.6, middle + 0.6, 0.45, 2.7), shade(GLASS, 1.3), 1.2)
        b.face(stroke((middle, 3.45), (middle - 0.7, 4.3), 0.12), METAL, a=AHEAD)
        b.face(stroke((middle - 0.7, 4.3), (middle + 0.2, 5.2), 0.12), METAL, a=AHEAD)
        b.face(rect(-0.8, 0.8, 5.15, 5.25), METAL, (0, 0, middle + 0.2))
    for sight, z in ((b.rear, -13.7), (b.front, 13.7)):
        sight(
            rect(-0.7, 0.7, 2.95, 3.25),
            (0.9, 0.6, 0.1),
            z * 0.957,
            glow=(0.9, 0.55, 0.1),
            always=0.3,
        )
        sight(rect(-1.2, 1.2, 0.3, 0.8), shade(band, 0.7), z)
    _lights(b, 1.15, 1.1, -13.71, 13.71, lit)


def _rider(b: Builder, seat: float, reach: float, across: bool) -> None:
    """Somebody on a two-wheeler; `across`: seen from the side, else from the back or front."""
    b.thing("rider")
    top, legs, skin = pick(b, PAINTS), pick(b, PAINTS[2:8]), pick(b, SKINS, 0.02)
    helmet = pick(b, PAINTS)
    rate, a = (0.5 if b.speed or across else 0), AHEAD if across else RIGHT
    if across:
        for phase in (0.0, pi):
            leg = [
                (-0.08, 0.08),
                (0.12, 0.06),
                (0.44, -0.26),
                (0.3, -0.78),
                (0.42, -0.84),
                (0.16, -0.86),
            ]
            leg += [(0.2, -0.3), (-0.05, -0.1)]
            swing = (0.16, rate, phase)
            b.face(leg, legs, (0, seat, -0.25), AHEAD, UP, swing=swing, texture="cloth")
        torso = [(-0.38, seat), (-0.12, seat - 0.06), (0.2, seat + 0.44), (0.1, seat + 0.6)]
        b.face([*torso, (-0.14, seat + 0.46)], top, a=a, texture="cloth", tile=1.0)
        b.face(stroke((0.08, seat + 0.5), (reach, seat + 0.1), 0.11), shade(top, 0.85), a=a)
        head = (0.2, seat + 0.74)
    else:
        for side in (-1, 1):
            outline = stroke((0, 0.05), (0.05 * side, -0.8), 0.19, 0.7)
            swing = (0.08 * side, rate, 0.0)
            b.face(outline, legs, (side * 0.12, seat, 0), swing=swing, texture="cloth")
            arm = stroke((side * 0.22, seat + 0.5), (side * 0.3, seat + 0.08), 0.12)
            b.face(arm, shade(top, 0.85), texture="cloth")
        torso = [(-0.18, seat - 0.05), (0.18, seat - 0.05), (0.25, seat + 0.48), (0.1, seat + 0.58)]
        b.face([*torso, (-0.1, seat + 0.58), (-0.25, seat + 0.48)], top, texture="cloth", tile=1.0)
        head = (0.0, seat + 0.74)
    b.face(disc(0.125, *head, 10), skin, a=a)
    b.face([p for p in disc(0.14, *head, 14) if p[1] > head[1] - 0.02], helmet, a=a)


def bicycle(b: Builder, ground: str, ridden: bool = False, across: bool = False) -> None:
    b.thing("bicycle")
    shadow(b, 0.4, 1.7, ground)
    frame = pick(b, PAINTS)
    turn = -b.speed / 0.34
    b.face(stroke((0, 0), (0, 0.68), 0.07), TYRE)
    b.face(rect(-0.3, 0.3, 0.98, 1.04), TYRE)
    for z in (-0.53, 0.53):
        b.face(ring(0.35, 0.06, 0, 0), TYRE, (0, 0.35, z), AHEAD, UP, spin=turn)
        b.face(stroke((-0.3, 0), (0.3, 0), 0.02), METAL, (0, 0.35, z), AHEAD, UP, spin=turn)
    tubes: list[tuple[Point, Point]] = [
        ((-0.53, 0.35), (-0.1, 0.32)), ((-0.1, 0.32), (-0.22, 0.88)), ((-0.22, 0.82), (0.4, 0.86)),
        ((-0.1, 0.32), (0.4, 0.82)), ((0.38, 1.02), (0.53, 0.35)), ((-0.53, 0.35), (-0.2, 0.8)),
    ]  # fmt: skip
    for start, end in tubes:
        b.face(stroke(start, end, 0.05), frame, a=AHEAD)
    b.face(rect(-0.36, -0.1, 0.88, 0.95), TYRE, a=AHEAD)
    b.face(stroke((0.36, 1.02), (0.5, 1.06), 0.05), TYRE, a=AHEAD)
    if ridden:
        b.rear(disc(0.05, 0, 0.6, 6), TAIL, -0.55, glow=TAIL, always=0.1)
        _rider(b, 0.95, 0.42, across)


def motorcycle(b: Builder, ground: str, ridden: bool = False, across: bool = False) -> None:
    b.thing("motorcycle")
    shadow(b, 0.6, 2.0, ground)
    paint = pick(b, PAINTS[2:])
    turn = -b.speed / 0.31
    b.face(rect(-0.09, 0.09, 0, 0.6), TYRE)
    b.face(
        [(-0.2, 0.42), (0.2, 0.42), (0.26, 0.7), (0.16, 0.95), (-0.16, 0.95), (-0.26, 0.7)], paint
    )
    b.face(stroke((-0.4, 1.05), (0.4, 1.05), 0.06), TYRE)
    for x in (-0.36, 0.36):
        b.face(disc(0.065, x, 1.17, 8), TYRE)
    for z in (-0.66, 0.66):
        b.face(disc(0.32, corners=16), TYRE, (0, 0.32, z), AHEAD, UP)
        b.face(disc(0.18, corners=7), METAL, (0, 0.32, z), AHEAD, UP, spin=turn)
    b.face(stroke((0.66, 0.32), (0.42, 1.02), 0.09), METAL, a=AHEAD)
    engine = [(-0.4, 0.3), (0.3, 0.3), (0.42, 0.55), (-0.3, 0.6)]
    b.face(engine, (0.2, 0.2, 0.21), a=AHEAD)
    body = [(-0.95, 0.82), (-0.3, 0.62), (0.1, 0.6), (0.42, 0.75), (0.5, 1.05), (0.2, 1.02)]
    b.face([*body, (-0.05, 0.82), (-0.5, 0.85)], paint, a=AHEAD)
    b.face([(-0.7, 0.84), (-0.05, 0.8), (-0.1, 0.9), (-0.65, 0.93)], TYRE, a=AHEAD)
    b.rear(rect(-0.1, 0.1, 0.72, 0.84), (0.5, 0.05, 0.04), -0.8, glow=TAIL if ridden else (0, 0, 0))
    if ridden:
        b.front(disc(0.11, 0, 0.9, 8), (0.85, 0.85, 0.8), 0.6, glow=WARM, always=0.2)
        _rider(b, 0.88, 0.38, across)
