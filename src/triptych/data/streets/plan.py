"""The choices that hold for a whole scene: lanes, curve, planting, colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triptych.data.streets.faces import Colour

LANE, PARKING = 3.5, 2.3
"""Widths of a lane and of a row of parked cars, metres."""

_LEAVES: tuple[tuple[Colour, Colour], ...] = (
    ((0.16, 0.28, 0.10), (0.34, 0.44, 0.16)),
    ((0.12, 0.24, 0.12), (0.26, 0.38, 0.20)),
    ((0.30, 0.34, 0.10), (0.52, 0.50, 0.16)),
    ((0.46, 0.26, 0.08), (0.66, 0.44, 0.12)),
)
_GRASS: tuple[Colour, ...] = ((0.27, 0.36, 0.13), (0.42, 0.40, 0.20), (0.36, 0.30, 0.20))


@dataclass(frozen=True)
class Plan:
    """The choices that hold for a whole scene; distances in metres to the right of the middle."""

    curvature: float
    lanes: tuple[tuple[float, int, float], ...]
    """Middle, direction (1 or -1) and speed in m/s of every lane; the camera drives in the first"""
    tram: bool
    parking: tuple[bool, bool]
    """Cars parked at the left and the right edge."""
    edges: tuple[float, float]
    walks: tuple[float, float]
    """Widths of the left and the right sidewalk."""
    verge: float
    """Width of the grass between sidewalk and houses."""
    town: float
    """1 for rows of tall houses, 0 for gardens, walls and trees."""
    leaves: tuple[tuple[Colour, Colour], ...]
    asphalt: Colour
    paving: Colour
    grass: Colour
    lit: bool


def draw_plan(rng: np.random.Generator, lit: bool) -> Plan:
    tram, wide = rng.random() < 0.45, rng.random() < 0.3
    speed = float(rng.uniform(4.5, 10.0))
    lanes = [(LANE / 2, 1, speed)]
    if wide:
        lanes.append((1.5 * LANE, 1, speed + rng.uniform(-1.5, 1.5)))
    left = -LANE / 2
    if tram:
        lanes.append((left, 1 if rng.random() < 0.4 else -1, float(rng.uniform(4, 8))))
        left -= LANE
    lanes.append((left, -1, float(rng.uniform(5, 10))))
    parking = (bool(rng.random() < 0.6), bool(rng.random() < 0.7))
    edges = (
        left - LANE / 2 - PARKING * parking[0],
        max(lane[0] for lane in lanes) + LANE / 2 + PARKING * parking[1],
    )
    tone = float(rng.uniform(0.26, 0.4))
    grey = float(rng.uniform(0.42, 0.6))
    first = int(rng.integers(4))
    return Plan(
        curvature=float(rng.choice([0.0, 1.0], p=[0.35, 0.65]) * rng.uniform(-1, 1) / 160),
        lanes=tuple(lanes),
        tram=tram,
        parking=parking,
        edges=edges,
        walks=(float(rng.uniform(2.2, 4.0)), float(rng.uniform(2.2, 4.0))),
        verge=float(rng.choice([0.0, 1.0], p=[0.35, 0.65]) * rng.uniform(1.2, 5)),
        town=float(rng.uniform(0, 0.9)),
        leaves=(_LEAVES[first], _LEAVES[int(rng.integers(4))]),
        asphalt=(tone, tone * rng.uniform(0.97, 1.02), tone * rng.uniform(0.98, 1.08)),
        paving=(grey, grey * rng.uniform(0.93, 1.0), grey * rng.uniform(0.86, 1.0)),
        grass=_GRASS[int(rng.integers(3))],
        lit=lit,
    )
