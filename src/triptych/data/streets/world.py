"""What a scene's street looks like: its plan, and what stands and drives where.

The street is endless and made in stretches, each from its own random numbers, when the camera comes
near; so a frame depends on (seed, time) alone. What moves does so in belts (a lane, one side's
walkers): all on a belt keep one speed, and its stretches travel with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import ceil, floor, pi
from typing import Any

import numpy as np

from triptych.data.streets import roadside, vehicles
from triptych.data.streets.camera import along
from triptych.data.streets.faces import (
    AHEAD,
    GROUND,
    RIGHT,
    SKY,
    STRETCH,
    UP,
    Builder,
    Colour,
    Faces,
    Point,
    rect,
    shade,
)
from triptych.data.streets.plan import PARKING, Plan

FRAME_RATE = 15.0
"""Frames per second of a scene's video."""
BEHIND, BEYOND = 24.0, 120.0
"""How far behind and before the camera the street is made, metres."""


@dataclass(frozen=True)
class Belt:
    """Things that move along the road at one speed, made in stretches that move with them."""

    length: float
    """Metres of one stretch."""
    speed: float
    """Metres per frame along the road."""
    fill: Callable[[Builder, float], None]
    """Puts the things of the stretch that begins at this station (at frame 0) into a builder."""

    def stretches(self, station: float, frame: int) -> range:
        """Numbers of the stretches near a station at a frame."""
        start = station - self.speed * frame
        return range(floor((start - BEHIND) / self.length), ceil((start + BEYOND) / self.length))


def belts(plan: Plan) -> tuple[Belt, ...]:
    """All belts of a scene, the resting street first."""
    made = [Belt(STRETCH, 0.0, partial(_street, plan=plan))]
    ends = {1: max(d for d, _, _ in plan.lanes), -1: min(d for d, _, _ in plan.lanes)}
    for number, (d, way, speed) in enumerate(plan.lanes):
        moved = way * speed / FRAME_RATE
        if plan.tram and number == len(plan.lanes) - 2:
            made.append(Belt(95.0, moved, partial(_trams, plan=plan, d=d, moved=moved)))
            continue
        outer, own = d == ends[way], number == 0
        fill = partial(_traffic, plan=plan, d=d, moved=moved, edge=outer, own=own)
        made.append(Belt(STRETCH, moved, fill))
    for right in (False, True):
        for way in (-1, 1):
            moved = way * (1.1 + 0.3 * right) / FRAME_RATE
            made.append(
                Belt(STRETCH, moved, partial(_walkers, plan=plan, right=right, moved=moved))
            )
    return tuple(made)


def _trams(b: Builder, start: float, plan: Plan, d: float, moved: float) -> None:
    if b.rng.random() < 0.9:
        b.at(start + b.rng.uniform(15, 80), d, 0.0 if moved > 0 else pi, moved)
        vehicles.tram(b, plan.lit)


def _traffic(
    b: Builder, start: float, plan: Plan, d: float, moved: float, edge: bool, own: bool
) -> None:
    """Vehicles in a lane; none too near the camera in its own lane."""
    for slot in (start, start + STRETCH / 2):
        s = slot + b.rng.uniform(4.5, 7.5)
        kind = b.rng.random()
        if b.rng.random() > 0.55 or (own and -16 < s < 13):
            continue
        aside = d + b.rng.uniform(-0.3, 0.3)
        b.at(s, aside, 0.0 if moved > 0 else pi, moved)
        if kind < 0.5:
            vehicles.car(b, plan.lit)
        elif kind < 0.64:
            vehicles.truck(b, plan.lit)
        elif kind < 0.75:
            vehicles.bus(b, plan.lit)
        elif kind < 0.86 or not edge:
            vehicles.motorcycle(b, "road", ridden=True)
        else:
            vehicles.bicycle(b, "road", ridden=True)


def _walkers(b: Builder, start: float, plan: Plan, right: bool, moved: float) -> None:
    """People on a sidewalk, in its outer half or in its inner half by their direction."""
    edge, width = plan.edges[right], plan.walks[right]
    for s in start + b.rng.uniform(0, STRETCH, b.rng.poisson(1.0)):
        share = b.rng.uniform(0.15, 0.45) + (0.4 if moved > 0 else 0.0)
        b.at(s, edge + (1 if right else -1) * width * share, b.rng.normal(0, 0.3), moved)
        roadside.person(b, "sidewalk")


def _street(b: Builder, start: float, plan: Plan) -> None:
    """A stretch of everything that rests, and who crosses at it."""
    crossing = b.rng.random() < 0.22
    _ground(b, plan, start, crossing)
    for right in (False, True):
        _side(b, plan, start, right, crossing)
    if crossing:
        _crossing(b, plan, start + 6)


def strip(
    b: Builder, plan: Plan, start: float, end: float, d0: float, d1: float, colour: Colour,
    texture: str, tile: float, rank: int, second: Colour | None = None,
) -> None:  # fmt: skip
    """A band of ground from d0 to d1 along the road, bent with it; higher ranks cover lower."""
    middle = (start + end) / 2
    stations = np.linspace(start, end, 2 if end - start < 6 else 6)
    outline: list[Point] = []
    for d, order in ((d0, stations), (d1, stations[::-1])):
        x, z, heading = along(plan.curvature, order - middle)
        outline += zip(x + d * np.cos(heading), z - d * np.sin(heading), strict=True)
    b.at(middle, 0)
    b.part = rank
    b.face(
        outline,
        colour,
        (0, 0, 0),
        RIGHT,
        AHEAD,
        texture=texture,
        tile=tile,
        second=second,
        layer=GROUND,
    )


def _ground(b: Builder, plan: Plan, start: float, crossing: bool) -> None:
    end, (left, right) = start + STRETCH, plan.edges
    grass, bright = plan.grass, shade(plan.grass, 1.25)
    b.stuff("terrain")
    strip(b, plan, start, end + 0.1, left - 70, right + 70, grass, "grass", 9, 0, bright)
    b.stuff("sidewalk")
    strip(b, plan, start, end, left - plan.walks[0], left, plan.paving, "paving", 2.4, 1)
    strip(b, plan, start, end, right, right + plan.walks[1], plan.paving, "paving", 2.4, 1)
    b.stuff("road")
    strip(b, plan, start, end + 0.1, left, right, plan.asphalt, "asphalt", 8, 2)
    if b.rng.random() < 0.5:
        x, s = b.rng.uniform(left + 1, right - 1), start + b.rng.uniform(2, 20)
        strip(
            b,
            plan,
            s,
            s + b.rng.uniform(1.5, 4),
            x - 0.8,
            x + 0.8,
            shade(plan.asphalt, 0.7),
            "asphalt",
            8,
            3,
        )
    white = shade((0.78, 0.78, 0.75), b.rng.uniform(0.8, 1.0))
    b.stuff("sidewalk")
    kerb = shade(plan.paving, 1.22)
    for d in (left - 0.22, right):
        strip(b, plan, start, end, d, d + 0.22, kerb, "concrete", 3, 3)
    b.stuff("road")
    for d in (left, right - 0.25):
        strip(b, plan, start, end, d, d + 0.25, shade(plan.asphalt, 0.72), "asphalt", 3, 3)
    middles = sorted(lane[0] for lane in plan.lanes)
    for d0, d1 in pairwise(middles):
        d = (d0 + d1) / 2
        if d == 0 and not plan.tram and plan.curvature == 0:
            strip(b, plan, start, end, -0.08, 0.08, white, "concrete", 2, 4)
            continue
        for s in (start + 3, start + 11, start + 19):
            strip(b, plan, s, s + 4, d - 0.08, d + 0.08, white, "concrete", 2, 4)
    for side, sign in ((0, 1), (1, -1)):
        if plan.parking[side]:
            d = plan.edges[side] + sign * PARKING
            strip(b, plan, start, end, d - 0.06, d + 0.06, white, "concrete", 2, 4)
    if plan.tram:
        bed, steel = shade(plan.asphalt, 0.6), (0.6, 0.6, 0.62)
        for rail in (plan.lanes[-2][0] - 0.72, plan.lanes[-2][0] + 0.72):
            strip(b, plan, start, end + 0.1, rail - 0.12, rail + 0.12, bed, "asphalt", 3, 3)
            strip(b, plan, start, end + 0.1, rail - 0.04, rail + 0.04, steel, "plain", 3, 4)
    if crossing:
        for d in np.arange(left + 0.4, right - 0.5, 1.0):
            strip(b, plan, start + 4.4, start + 7.6, d, d + 0.5, white, "concrete", 2, 4)
        strip(b, plan, start + 2.9, start + 3.3, 0.2, right - 0.4, white, "concrete", 2, 4)


def _crossing(b: Builder, plan: Plan, s: float) -> None:
    """Traffic lights and the people who cross; everyone walks when the camera is some way off."""
    left, right = plan.edges
    state = int(b.rng.integers(3))
    b.at(s - 3.5, right + 0.5)
    roadside.traffic_light(b, -1, state)
    b.at(s - 3.5, left - 0.5)
    roadside.traffic_light(b, 1, state)
    half, middle = (right - left) / 2 + 1.5, (left + right) / 2
    pace = plan.lanes[0][2] / FRAME_RATE
    for _ in range(1 + b.rng.poisson(1.5)):
        way = b.rng.choice([-1, 1]) * b.rng.uniform(0.9, 1.5) / FRAME_RATE
        mid = (s - b.rng.uniform(12, 30)) / pace
        b.at(s + b.rng.uniform(-1.2, 1.2), middle, 0, 0, (way, mid, half))
        roadside.person(b, "road", 0.9)
    if b.rng.random() < 0.35:
        way = b.rng.choice([-1, 1]) * 3.0 / FRAME_RATE
        mid = (s - b.rng.uniform(14, 24)) / pace
        b.at(s, middle, pi / 2 if way > 0 else -pi / 2, 0, (way, mid, half + 3))
        vehicles.bicycle(b, "road", ridden=True, across=True)


def _side(b: Builder, plan: Plan, start: float, right: bool, crossing: bool) -> None:
    """One side of a stretch, from the kerb to the houses."""
    rng, way = b.rng, 1 if right else -1
    edge, walk = plan.edges[right], plan.walks[right]
    facing = way * pi / 2
    back = edge + way * (walk + plan.verge)
    tall = rng.random() < plan.town
    b.outer = True
    style = rng.random()
    if tall:
        _houses(b, start, back, facing)
    elif style < 0.3:
        b.at(start + 12, back + way * 0.3, facing)
        roadside.wall(b, STRETCH)
        for s in start + rng.uniform(2, 22, 3):
            b.at(s, back + way * rng.uniform(3, 9))
            roadside.tree(b, plan.leaves[int(rng.integers(2))])
        if rng.random() < 0.6:
            b.at(start + 12, back + way * 11, facing)
            roadside.building(b, 18, int(rng.integers(2, 5)), False, True)
    else:
        garden = back + way * rng.uniform(4, 7)
        b.at(start + rng.uniform(8, 16), garden, facing)
        if style < 0.75:
            roadside.building(b, 12, int(rng.integers(1, 3)), False, True)
        else:
            for s in start + rng.uniform(1, 23, 4):
                b.at(s, back + way * rng.uniform(3, 14))
                roadside.tree(b, plan.leaves[int(rng.integers(2))], rng.uniform(0.9, 1.4))
        for s in (start + 6, start + 18):
            b.at(s, back + way * 0.2, facing)
            border = rng.random()
            if border < 0.55:
                roadside.fence(b, 12)
            elif border < 0.8:
                roadside.hedge(b, plan.leaves[0], 12, rng.uniform(0.8, 1.6))
        for s in start + rng.uniform(0, STRETCH, rng.poisson(1.2)):
            b.at(s, back + way * rng.uniform(1.2, 3))
            b.stuff("vegetation")
            roadside.foliage(b, plan.leaves[1], 0.8, 0, 0.6, 0.9)
    b.outer = False
    _kerbside(b, plan, start, right, crossing)


def _houses(b: Builder, start: float, back: float, facing: float) -> None:
    rng, widths = b.rng, ((12.0, 12.0), (6.0, 18.0), (18.0, 6.0))
    first, second = widths[int(rng.integers(3))]
    for s, width in ((start + first / 2, first), (start + first + second / 2, second)):
        b.at(s, back, facing)
        roadside.building(b, width, int(rng.integers(2, 7)), rng.random() < 0.6, rng.random() < 0.4)


def _kerbside(b: Builder, plan: Plan, start: float, right: bool, crossing: bool) -> None:
    """Parked vehicles, and what stands on the sidewalk."""
    rng, way = b.rng, 1 if right else -1
    edge, walk = plan.edges[right], plan.walks[right]
    if plan.parking[right]:
        for s in np.arange(start + 3, start + STRETCH - 1, 6.0):
            if rng.random() > 0.72 or (crossing and s < start + 11):
                continue
            aside = edge - way * 1.15
            heading = 0.0 if right else pi
            kind = rng.random()
            if kind < 0.14:
                for k in range(2):
                    b.at(s + 1.2 * k, aside, heading + way * rng.uniform(0.8, 1.4))
                    vehicles.motorcycle(b, "road")
            elif kind < 0.2 and s < start + 18:
                b.at(s, aside, heading)
                vehicles.truck(b, False)
            else:
                b.at(s, aside, heading + rng.normal(0, 0.03))
                vehicles.car(b, False)
    near = edge + way * 0.6
    if right == (round(start / STRETCH) % 2 == 0):
        b.at(start + 1, near)
        roadside.lamp(b, -way)
    elif rng.random() < 0.5:
        b.at(start + 1, near)
        roadside.pole(b, rng.uniform(5, 8), 0.2, (0.3, 0.25, 0.2))
    if rng.random() < 0.5:
        b.at(start + rng.uniform(13, 17), near)
        roadside.sign(b)
    if rng.random() < 0.07:
        b.at(start + 18.5, near)
        roadside.gantry(b, -way)
    if rng.random() < 0.35:
        for k in range(int(rng.integers(2, 5))):
            b.at(start + 8 + 0.8 * k, near + way * 0.4, way * rng.uniform(1.0, 1.5))
            vehicles.bicycle(b, "sidewalk")
    if plan.verge or walk > 2.8:
        for s in (start + 7 + rng.uniform(-1, 1), start + 19.5 + rng.uniform(-1, 1)):
            if rng.random() < 0.55:
                b.at(s, edge + way * (walk + plan.verge / 2 if plan.verge else 0.9))
                roadside.tree(b, plan.leaves[int(rng.integers(2))], rng.uniform(0.75, 1.1))
    for s in start + rng.uniform(0, STRETCH, rng.poisson(0.5)):
        b.at(s, edge + way * walk * rng.uniform(0.3, 0.9), rng.normal(0, 0.5))
        roadside.person(b, "sidewalk", 0.0)


def horizon(b: Builder, plan: Plan) -> Faces:
    """The sky, and the town and woods all around that are too far to come nearer."""
    b.at(0, 0)
    b.stuff("sky")
    look: dict[str, Any] = {"layer": SKY, "texture": "clouds", "tile": 9.0}
    b.face(rect(-60, 60, -60, 60), (0, 0, 0), UP, RIGHT, AHEAD, **look)
    for turn in np.linspace(0, 2 * pi, 24, endpoint=False):
        ahead, aside = (np.sin(turn), 0, np.cos(turn)), (np.cos(turn), 0, -np.sin(turn))
        woods = b.rng.random() < 0.5
        b.stuff("vegetation" if woods else "building")
        colour = plan.leaves[0][0] if woods else (0.4, 0.38, 0.37)
        if woods:
            tops, heights = np.linspace(0.14, -0.14, 8), b.rng.uniform(0.02, 0.05, 8)
        else:
            tops = np.repeat(np.linspace(0.14, -0.14, 5), 2)[1:-1]
            heights = np.repeat(b.rng.uniform(0.02, 0.08, 4), 2)
        outline = [(-0.14, -0.02), (0.14, -0.02), *zip(tops, heights, strict=True)]
        look = {"layer": SKY, "texture": "leaves" if woods else "offices", "tile": 0.06}
        look |= {"second": shade(colour, 0.7), "glow": (0.6, 0.5, 0.3)}
        b.face(outline, colour, ahead, aside, **look)
    return b.faces()
