"""From the street's faces to pixels: where everything is at a time, which face a pixel shows, and
where the point that it shows moves.

A face's outline lies in its plane at (u, v); with the camera of a time, a 3x3 matrix takes
(u, v, 1) to camera coordinates (right, up, depth; metres). Painting, texture, depth and motion all
use these matrices, so labels, picture and flow agree by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.streets.faces import SKY, STANDING, STRETCH, Faces

NEAR = 0.12
"""Metres before the camera at which faces are cut off."""
_SHIFT = 4
LEAST = 1.3
"""Faces smaller than this many pixels both ways are not painted."""

Matrices = NDArray[np.float64]
Corner = tuple[float, float, float]


def along(curvature: float, s: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """World x and z of the road's middle, and its heading in radians, at station `s` (metres)."""
    half = 0.5 * curvature * s
    chord = s * np.sinc(half / np.pi)
    return chord * np.sin(half), chord * np.cos(half), 2 * half


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the world (x, y up, z; metres)."""

    position: NDArray[np.float64]
    """Shape (3,)."""
    axes: NDArray[np.float64]
    """Its right, up and forward directions as rows, shape (3, 3)."""
    focal: float
    """Focal length in pixels."""
    size: tuple[int, int]
    """Height and width in pixels; the optical axis meets the middle of the picture."""

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixel (x, y) of camera coordinates (..., 3); a pixel's middle has whole numbers."""
        height, width = self.size
        scaled = points[..., :2] / points[..., 2:]
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        return np.asarray(middle + scaled * np.array([self.focal, -self.focal]))

    def rays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Right and up of every pixel's ray at depth 1, shapes (1, W) and (H, 1)."""
        height, width = self.size
        right = (np.arange(width) - (width - 1) / 2) / self.focal
        up = ((height - 1) / 2 - np.arange(height)) / self.focal
        return right[None].astype(np.float32), up[:, None].astype(np.float32)


@dataclass(frozen=True)
class Pose:
    """Every face in front of a camera at one time."""

    matrices: Matrices
    """(u, v, 1) to camera coordinates, shape (F, 3, 3)."""
    normals: NDArray[np.float64]
    """Outward normals in the world, shape (F, 3)."""
    stations: NDArray[np.float64]
    offsets: NDArray[np.float64]
    """Where each face's object stands along the road and to its right, metres, shape (F,)."""

    def turned(self) -> NDArray[np.bool_]:
        """Whether the camera sees a face from outside, shape (F,)."""
        a, b, origin = (self.matrices[:, :, k].T for k in range(3))
        x = (b[1] * a[2] - b[2] * a[1]) * origin[0]
        y = (b[2] * a[0] - b[0] * a[2]) * origin[1]
        z = (b[0] * a[1] - b[1] * a[0]) * origin[2]
        return np.asarray(x + y + z < 0)

    def pick(self, faces: NDArray[np.int64]) -> Pose:
        """The pose of some of the faces."""
        chosen = (self.matrices, self.normals, self.stations, self.offsets)
        return Pose(*(values[faces] for values in chosen))


def pose(
    rows: NDArray[np.void], curvature: float, camera: Camera, time: NDArray[np.float64] | float
) -> Pose:
    """Pose of faces (dtype `FACE`) at `time`, in frames, which may differ from face to face."""
    time = np.broadcast_to(np.asarray(time, np.float64), len(rows))
    s = rows["s"] + rows["speed"] * time
    d = rows["d"] + np.clip(rows["cross"] * (time - rows["mid"]), -rows["span"], rows["span"])
    x, z, heading = along(curvature, s)
    position = np.stack([x + d * np.cos(heading), np.zeros_like(x), z - d * np.sin(heading)], 1)
    infinite = rows["layer"] == SKY
    turn = np.where(infinite, 0.0, heading + rows["yaw"])
    sine, cosine = np.sin(turn), np.cos(turn)

    def world(local: NDArray[np.float64]) -> NDArray[np.float64]:
        ahead, right = local[:, 2], local[:, 0]
        turned = (right * cosine + ahead * sine, local[:, 1], ahead * cosine - right * sine)
        return np.stack(turned, 1)

    angle = rows["swing"] * np.sin(rows["rate"] * time + rows["phase"]) + rows["spin"] * time
    c, n = np.cos(angle)[:, None], np.sin(angle)[:, None]
    a, b, origin = world(rows["a"]), world(rows["b"]), world(rows["origin"])
    origin += np.where(infinite[:, None], 0.0, position - camera.position)
    columns = np.stack([c * a + n * b, c * b - n * a, origin], 2)
    return Pose(camera.axes @ columns, np.cross(b, a), s, d)


@dataclass(frozen=True)
class Painting:
    """Which face every pixel shows."""

    number: NDArray[np.int32]
    """Position in `shown` of the face at every pixel, shape (H, W)."""
    shown: NDArray[np.int64]
    """The faces that were painted, from back to front, as positions in the faces given."""


def _cut(points: list[Corner], focal: float, middle: tuple[float, float]) -> list[list[float]]:
    """Pixels of the part of an outline (camera coordinates) that is in front of the camera."""
    kept: list[Corner] = []
    for start, end in pairwise([*points, points[0]]):
        if start[2] >= NEAR:
            kept.append(start)
        if (start[2] >= NEAR) != (end[2] >= NEAR):
            share = (NEAR - start[2]) / (end[2] - start[2])
            x, y, z = (p + (q - p) * share for p, q in zip(start, end, strict=True))
            kept.append((x, y, z))
    return [[middle[0] + focal * x / z, middle[1] - focal * y / z] for x, y, z in kept]


def paint(faces: Faces, seen: Pose, camera: Camera, offset: float) -> Painting:
    """Paint faces from far to near for a camera at this offset to the right of the road's middle.

    The first face is what is seen where there is no other (the sky).
    """
    rows, counts = faces.rows, faces.counts
    starts = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(rows)), counts)
    u, v = np.ascontiguousarray(faces.points.T)
    # Element by element over contiguous arrays: several times faster than products of rows.
    m = np.ascontiguousarray(seen.matrices.reshape(-1, 9).T)
    right, up, depth = (
        m[k].take(owner) * u + m[k + 1].take(owner) * v + m[k + 2].take(owner) for k in (0, 3, 6)
    )
    height, width = camera.size
    far = np.maximum(depth, 1e-9)
    x = (width - 1) / 2 + camera.focal * right / far
    y = (height - 1) / 2 - camera.focal * up / far
    sides = (width / 2 / camera.focal * depth, height / 2 / camera.focal * depth)
    visible = np.maximum.reduceat(depth, starts) > NEAR
    for side, across in zip(sides, (right, up), strict=True):
        visible &= np.maximum.reduceat(side - across, starts) > 0
        visible &= np.maximum.reduceat(side + across, starts) > 0
    whole = np.minimum.reduceat(depth, starts) >= NEAR
    large = ~whole
    for along_axis in (x, y):
        extent = np.maximum.reduceat(along_axis, starts) - np.minimum.reduceat(along_axis, starts)
        large |= extent >= LEAST
    visible &= large & (seen.turned() | ~rows["one_sided"])
    visible[0] = True
    shown = np.flatnonzero(visible)
    shown = shown[_far_to_near(rows[shown], seen.stations[shown], seen.offsets[shown], offset)]
    number = np.zeros((height, width), np.int32)
    flat = np.stack([x, y], 1)
    fixed = np.rint(np.clip(flat, -3e5, 3e5) * (1 << _SHIFT)).astype(np.int32)
    middle = ((width - 1) / 2, (height - 1) / 2)
    ends = starts + counts
    spans = zip(starts[shown].tolist(), ends[shown].tolist(), whole[shown].tolist(), strict=True)
    next(spans)
    for place, (start, end, uncut) in enumerate(spans, 1):
        if uncut:
            outline = fixed[start:end]
        else:
            corners = zip(right[start:end], up[start:end], depth[start:end], strict=True)
            cut = np.array(_cut(list(corners), camera.focal, middle))
            outline = np.rint(cut * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(number, [outline], place, cv2.LINE_8, _SHIFT)
    found = np.bincount(number.ravel(), minlength=len(shown)) > 0
    shown, number = shown[found], (np.cumsum(found) - 1).astype(np.int32)[number]
    return Painting(number, shown)


def _far_to_near(
    rows: NDArray[np.void], stations: NDArray[np.float64], offsets: NDArray[np.float64],
    offset: float,
) -> NDArray[np.intp]:  # fmt: skip
    """Painting order of faces for a camera in the road at this offset.

    A ray that leaves along the road meets ever further stations, ever further aside. So stretches
    go from far to near; in each, what stands beyond the sidewalk goes first, from the outside in,
    then the rest by its distance.
    """
    part = rows["part"]
    station = stations + part * np.cos(rows["yaw"])
    aside = np.abs(offsets + part * np.sin(rows["yaw"]) - offset)
    outer = rows["outer"]
    nearness = np.where(outer, -aside - 0.02 * station, -station - 0.6 * aside)
    keys = (nearness, ~outer, -np.floor(station / STRETCH))
    flat = rows["layer"] != STANDING
    return np.lexsort([np.where(flat, part, key) for key in keys] + [rows["layer"]])


def flow(
    painting: Painting, faces: Faces, now: Matrices, after: Matrices, camera: Camera,
    camera_after: Camera,
) -> NDArray[np.float32]:  # fmt: skip
    """Where the surface point at each pixel moves until the next frame, pixels, (H, W, 2).

    A pixel that the outline of a standing face only grazes takes the motion of its nearest point.
    """
    number = painting.number.ravel()
    right, up = (np.broadcast_to(axis, camera.size).ravel() for axis in camera.rays())
    inverse = np.linalg.inv(now[painting.shown])[number]
    uvw = inverse[:, :, 0] * right[:, None] + inverse[:, :, 1] * up[:, None] + inverse[:, :, 2]
    low, high = (bound[painting.shown][number] for bound in faces.bounds)
    layer = faces.rows["layer"][painting.shown][number]
    with np.errstate(divide="ignore", invalid="ignore"):
        uv = uvw[:, :2] / uvw[:, 2:]
    # The ground goes on beyond an outline; of what stands, the plane beyond may lie anywhere.
    uv = np.where((layer == STANDING)[:, None], np.clip(uv, low, high), uv)
    point = np.where((layer == SKY)[:, None], uvw, np.column_stack([uv, np.ones(len(uv))]))

    def seen(matrices: Matrices, by: Camera) -> NDArray[np.float64]:
        chosen = matrices[painting.shown][number]
        return by.pixels(np.einsum("nij,nj->ni", chosen, point))

    moved = seen(after, camera_after) - seen(now, camera)
    return moved.reshape(*camera.size, 2).astype(np.float32)
