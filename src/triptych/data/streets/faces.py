"""Flat coloured faces, of which everything in the street is made, and how a list of them is built.

Local coordinates of an object: x to the right, y up, z ahead, metres, origin on the ground. A face
is an outline in its own plane: point (u, v) of it lies at ``origin + u * a + v * b``, seen from
outside with a to the right and b up (so the outward normal is b x a).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import cos, hypot, pi, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import CITYSCAPES
from triptych.data.streets.textures import NUMBER

LABEL = {name: index for index, name in enumerate(CITYSCAPES.names)}
RIGHT, LEFT, UP, AHEAD, BACK = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1)
SKY, GROUND, STANDING = 0, 1, 2
"""Layers, painted in this order; only standing faces are sorted by distance."""

STRETCH = 24.0
"""Length of a stretch of the street in metres; a street lamp stands in every one."""

FACE = np.dtype(
    [
        ("origin", "f8", 3), ("a", "f8", 3), ("b", "f8", 3),
        # Turn within the own plane, radians: swing * sin(rate * t + phase) + spin * t.
        ("swing", "f8"), ("rate", "f8"), ("phase", "f8"), ("spin", "f8"),
        # Where the object stands: station along the road and offset to its right, metres; their
        # speeds per frame; the frame of mid-crossing and half its width; heading to the road's.
        ("s", "f8"), ("speed", "f8"), ("d", "f8"), ("cross", "f8"), ("mid", "f8"), ("span", "f8"),
        ("yaw", "f8"),
        # Class, object (0 for none), and what decides the painting order; `part` is how far ahead
        # of its object's place the face is, of ground its rank.
        ("label", "u1"), ("owner", "i4"), ("layer", "i1"), ("outer", "?"), ("part", "f8"),
        ("one_sided", "?"), ("cast", "?"),
        ("texture", "i4"), ("tile", "f8", 2), ("first", "f4", 3), ("second", "f4", 3),
        ("glow", "f4", 3), ("always", "f4"),
    ]
)  # fmt: skip

Point = tuple[float, float]
Vector = tuple[float, float, float]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Faces:
    """Faces in painting order of their objects, with their outlines one after the other."""

    rows: NDArray[np.void]
    """dtype `FACE`, shape (F,)."""
    points: NDArray[np.float64]
    """Outline points (u, v), metres, shape (P, 2)."""
    counts: NDArray[np.int64]
    """Points of every outline, shape (F,)."""

    def larger(self, least: float) -> Faces:
        """Without the faces that are nowhere as large as `least` metres."""
        low, high = self.bounds
        keep = (high - low).max(1) >= least
        points = np.repeat(keep, self.counts)
        return Faces(self.rows[keep], self.points[points], self.counts[keep])

    @cached_property
    def bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest (u, v) of every outline, metres, each (F, 2)."""
        if not len(self.rows):
            return np.zeros((0, 2)), np.zeros((0, 2))
        starts = np.cumsum(self.counts) - self.counts
        low, high = (f.reduceat(self.points, starts) for f in (np.minimum, np.maximum))
        return low, high

    @staticmethod
    def join(parts: Sequence[Faces]) -> Faces:
        # As bytes: numpy is slow at finding out that equal records are equal.
        raw = [part.rows.view(f"V{FACE.itemsize}") for part in parts]
        return Faces(
            np.concatenate(raw).view(FACE),
            np.concatenate([part.points for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )


def rect(left: float, right: float, low: float, high: float) -> list[Point]:
    return [(left, low), (right, low), (right, high), (left, high)]


def disc(radius: float, x: float = 0, y: float = 0, corners: int = 12) -> list[Point]:
    turns = (2 * pi * (k + 0.5) / corners for k in range(corners))
    return [(x + radius * cos(turn), y + radius * sin(turn)) for turn in turns]


def ring(radius: float, width: float, x: float, y: float) -> list[Point]:
    """A ring as one outline that runs around the rim and back around the hole."""
    outer, inner = disc(radius, x, y), disc(radius - width, x, y)
    return [*outer, outer[0], inner[0], *inner[::-1]]


def stroke(start: Point, end: Point, width: float, taper: float = 1.0) -> list[Point]:
    """A thick line; `taper` is the width at its end relative to that at its start."""
    x, y = end[0] - start[0], end[1] - start[1]
    x, y = -0.5 * width * y / hypot(x, y), 0.5 * width * x / hypot(x, y)
    return [
        (start[0] + x, start[1] + y),
        (start[0] - x, start[1] - y),
        (end[0] - x * taper, end[1] - y * taper),
        (end[0] + x * taper, end[1] + y * taper),
    ]


def shade(colour: Colour, factor: float) -> Colour:
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


class Builder:
    """Collects the faces of one stretch of the street."""

    def __init__(self, rng: np.random.Generator, first_owner: int) -> None:
        self.rng = rng
        self._rows: list[tuple[object, ...]] = []
        self._outlines: list[Sequence[Point]] = []
        self._next_owner = first_owner + 1
        self.label, self.owner, self.part, self.speed = 0, 0, 0.0, 0.0
        self.outer = False
        """Whether what follows stands beyond the sidewalk (for the painting order)."""
        self.at(0, 0)

    def at(
        self,
        s: float,
        d: float,
        yaw: float = 0.0,
        speed: float = 0.0,
        crossing: tuple[float, float, float] = (0, 0, 0),
    ) -> Builder:
        """Stand the following faces here; `speed` in metres per frame along the road (wheels turn
        and legs swing by it), `crossing` is (speed to the right, mid frame, span)."""
        self.speed = abs(speed) or abs(crossing[0])
        self._place = (s, speed, d, *crossing, yaw)
        self.part = 0.0
        return self

    def stuff(self, name: str) -> Builder:
        """The following faces are of this class and belong to no object."""
        self.label, self.owner = LABEL[name], 0
        return self

    def thing(self, name: str) -> Builder:
        """The following faces are one new object of this class."""
        self.label, self.owner = LABEL[name], self._next_owner
        self._next_owner += 1
        return self

    def face(
        self,
        outline: Sequence[Point],
        colour: Colour,
        origin: Vector = (0, 0, 0),
        a: Vector = RIGHT,
        b: Vector = UP,
        *,
        texture: str = "plain",
        tile: float | Point = 3.0,
        second: Colour | None = None,
        glow: Colour = (0, 0, 0),
        always: float = 0.0,
        one_sided: bool = False,
        swing: Vector = (0, 0, 0),
        spin: float = 0.0,
        layer: int = STANDING,
        cast: bool = False,
    ) -> None:
        """Add a face. `tile`: metres that one repeat of the texture takes; `always`: how much of
        the glow shines by day; `swing`: (amplitude, rate, phase); `cast`: a shadow, whose surface
        rests while its outline moves."""
        tiles = (tile, tile) if isinstance(tile, int | float) else tile
        self._rows.append(
            (
                origin, a, b, *swing, spin, *self._place, self.label, self.owner, layer,
                self.outer, self.part, one_sided, cast, NUMBER[texture], tiles, colour,
                second or colour, glow, always,
            )
        )  # fmt: skip
        self._outlines.append(outline)

    def rear(self, outline: Sequence[Point], colour: Colour, z: float, **more: Any) -> None:
        """A face that looks back, outline in (x, y)."""
        self.face(outline, colour, (0, 0, z), RIGHT, UP, one_sided=True, **more)

    def front(self, outline: Sequence[Point], colour: Colour, z: float, **more: Any) -> None:
        """A face that looks ahead, outline in (x, y)."""
        flipped = [(-x, y) for x, y in outline]
        self.face(flipped, colour, (0, 0, z), LEFT, UP, one_sided=True, **more)

    def sides(self, outline: Sequence[Point], colour: Colour, x: float, **more: Any) -> None:
        """The same face at the right and at the left, outline in (z, y)."""
        flipped = [(-z, y) for z, y in outline]
        self.face(outline, colour, (x, 0, 0), AHEAD, UP, one_sided=True, **more)
        self.face(flipped, shade(colour, 0.93), (-x, 0, 0), BACK, UP, one_sided=True, **more)

    def prism(
        self,
        profile: Sequence[Point],
        half: float,
        colour: Colour,
        strips: dict[int, Colour] | None = None,
        **more: Any,
    ) -> None:
        """A solid of width 2 * half with this side view (z, y), listed from low at the rear over
        the top to low at the front; `strips` gives colours to parts of its circumference."""
        for number, (start, end) in enumerate(pairwise(profile)):
            z, y = end[0] - start[0], end[1] - start[1]
            length = hypot(z, y)
            self.face(
                rect(-half, half, 0, length),
                (strips or {}).get(number, colour),
                (0, start[1], start[0]),
                RIGHT,
                (0, y / length, z / length),
                one_sided=True,
                **more,
            )
        self.sides(profile, colour, half, **more)

    def block(
        self,
        width: float,
        height: float,
        depth: float,
        colour: Colour,
        x: float = 0.0,
        y: float = 0.0,
        z: float = 0.0,
        **more: Any,
    ) -> None:
        """A box whose face towards the viewer stands at z, centred at x, and reaches `depth` on."""
        left, right, far, top = x - width / 2, x + width / 2, z + depth, y + height
        sides = {"one_sided": True, **more}
        self.face(rect(-far, -z, y, top), shade(colour, 0.9), (left, 0, 0), BACK, UP, **sides)
        self.face(rect(z, far, y, top), shade(colour, 0.9), (right, 0, 0), AHEAD, UP, **sides)
        self.face(rect(left, right, z, far), colour, (0, top, 0), RIGHT, AHEAD, **sides)
        self.front(rect(left, right, y, top), colour, far, **more)
        self.rear(rect(left, right, y, top), colour, z, **more)

    def faces(self) -> Faces:
        counts = np.array([len(outline) for outline in self._outlines], np.int64)
        points = np.array([point for outline in self._outlines for point in outline], np.float64)
        return Faces(np.array(self._rows, FACE), points.reshape(-1, 2), counts)
