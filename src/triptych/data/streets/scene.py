"""A drive through one street: `scene(seed)[t]` is a frame with its labels, objects and motion."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image, LabelMap
from triptych.data.streets import camera as view
from triptych.data.streets import light, world
from triptych.data.streets.camera import Camera
from triptych.data.streets.faces import Builder, Faces
from triptych.data.streets.plan import draw_plan

VERSION = 1
"""Raised with every change of what a seed looks like."""

OBJECTS = (
    "traffic light", "traffic sign", "person", "rider", "car", "truck", "bus", "train",
    "motorcycle", "bicycle",
)  # fmt: skip
"""Classes whose objects have boxes and instance numbers."""

_OWNERS = 128
"""Instance numbers kept for one stretch of a belt."""
_STRETCHES = 1 << 16
_KEPT = 512
"""Stretches that a scene keeps in memory."""
_SWAY = np.array([0.1, 0.05, 0.35, 0.08, 0.4, 0.2])
"""How fast the camera sways along, aside, in pitch, yaw, height and roll, radians per frame."""


class StreetFrame:
    """One frame; everything but `labels` is computed when it is asked for.

    Every pixel shows one surface point: that under the pixel's middle, or the nearest one of a
    surface whose outline grazes the pixel.
    """

    def __init__(self, scene: Scene, time: int) -> None:
        self._scene, self._time = scene, time
        self._camera = scene.camera(time)
        _, offset = scene.place(time)
        self._faces = scene.faces(time)
        self._pose = self._posed(self._camera, time)
        self._painting = view.paint(self._faces, self._pose, self._camera, offset)

    def _posed(self, camera: Camera, time: float) -> view.Pose:
        return view.pose(self._faces.rows, self._scene.plan.curvature, camera, time)

    @cached_property
    def image(self) -> Image:
        """RGB picture (H, W, 3) with the sensor's noise."""
        return self.picture(noise=True)

    def picture(self, noise: bool) -> Image:
        """The picture with or without the sensor's noise."""
        seed = (self._scene.seed * 7919 + self._time * 104729) if noise else None
        return light.render(
            self._painting, self._faces.rows, self._pose, self._camera, self._scene.weather, seed
        )

    @cached_property
    def labels(self) -> LabelMap:
        """Cityscapes train id of every pixel (H, W)."""
        return self._faces.rows["label"][self._painting.shown][self._painting.number]

    @cached_property
    def instances(self) -> NDArray[np.int32]:
        """Number of the object at every pixel (H, W), the same in all frames of a scene; 0 for
        what is no object."""
        return self._faces.rows["owner"][self._painting.shown][self._painting.number]

    @cached_property
    def _objects(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        owners = self._faces.rows["owner"][self._painting.shown]
        classes = self._faces.rows["label"][self._painting.shown]
        numbers, first, place = np.unique(owners, return_index=True, return_inverse=True)
        # Which rows and columns each object touches, then the first and the last of them.
        touched = place[self._painting.number]
        height, width = touched.shape
        rows, columns = (np.zeros((len(numbers), side), np.bool_) for side in (height, width))
        rows[touched, np.arange(height)[:, None]] = True
        columns[touched, np.arange(width)] = True
        low_y, high_y = rows.argmax(1), height - rows[:, ::-1].argmax(1)
        low_x, high_x = columns.argmax(1), width - columns[:, ::-1].argmax(1)
        boxes = np.stack([low_x, low_y, high_x, high_y], 1)[numbers > 0]
        return boxes.astype(np.float32), classes[first][numbers > 0].astype(np.int64)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Visible extent (x0, y0, x1, y1) of every object in pixels (N, 4), by rising instance
        number; x1 and y1 are the far edges of the last pixels, so x1 - x0 is a width."""
        return self._objects[0]

    @property
    def classes(self) -> NDArray[np.int64]:
        """Train id of the object in each box (N,)."""
        return self._objects[1]

    @cached_property
    def flow(self) -> NDArray[np.float32]:
        """Motion (right, down) in pixels to the next frame of the surface point that each pixel
        shows, (H, W, 2), also where that point then leaves the picture or is hidden.

        Points at infinity (sky, skyline) move by the camera's rotation. In a shadow it is the
        ground that counts, which rests, not the shadow's outline.
        """
        after = self._scene.camera(self._time + 1)
        # A shadow's outline is kept where it was.
        time = np.where(self._faces.rows["cast"], self._time, self._time + 1)
        moved = view.pose(self._faces.rows, self._scene.plan.curvature, after, time)
        return view.flow(
            self._painting, self._faces, self._pose.matrices, moved.matrices, self._camera, after
        )


class Scene:
    """A drive of `frames` frames through the street of a seed; a sequence of `StreetFrame`."""

    def __init__(
        self, seed: int, size: tuple[int, int] = (192, 384), frames: int = 48,
        light_level: float | None = None,
    ) -> None:  # fmt: skip
        self.seed, self.size, self.frames = seed, size, frames
        rng = np.random.default_rng([VERSION, seed])
        drawn = rng.uniform(0.6, 1.0) if rng.random() < 0.6 else rng.uniform(0.0, 0.6)
        level = float(drawn if light_level is None else light_level)
        turn, high = rng.uniform(-np.pi, np.pi), 0.25 + 0.6 * level
        self.weather = light.Weather(
            light=level,
            sun=np.array([np.sin(turn) * np.cos(high), np.sin(high), np.cos(turn) * np.cos(high)]),
            overcast=float(np.clip(rng.uniform(-0.8, 1.3), 0, 1)),
            haze=float(rng.uniform(0.001, 0.006)),
        )
        self.plan = draw_plan(rng, lit=level < 0.5)
        self._belts = world.belts(self.plan)
        self._motion = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.5, 1.0, 6)
        self._height = float(rng.uniform(1.3, 1.9))
        self._tilt = float(rng.uniform(-0.05, 0.02))
        self._focal = float(rng.uniform(0.72, 0.9))
        self._stretch = lru_cache(_KEPT)(self._make)
        self._horizon = world.horizon(
            Builder(np.random.default_rng([VERSION, seed, 1]), 0), self.plan
        )

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, time: int) -> StreetFrame:
        if not -self.frames <= time < self.frames:
            raise IndexError(f"the scene has {self.frames} frames, there is no frame {time}")
        return StreetFrame(self, time % self.frames)

    def __iter__(self) -> Iterator[StreetFrame]:
        return (self[time] for time in range(self.frames))

    def place(self, time: float) -> tuple[float, float]:
        """The camera's station along the road and its offset to the right, metres."""
        sway = self._sway(time)
        lane, _, speed = self.plan.lanes[0]
        return speed / world.FRAME_RATE * time + 0.4 * sway[0], lane - 0.2 + 0.25 * sway[1]

    def _sway(self, time: float) -> NDArray[np.float64]:
        phases, rates = self._motion
        return np.asarray(np.sin(phases + rates * _SWAY * time))

    def camera(self, time: float) -> Camera:
        """The camera at a frame (or between frames)."""
        station, offset = self.place(time)
        x, z, heading = (float(a) for a in view.along(self.plan.curvature, np.asarray(station)))
        sway = self._sway(time)
        yaw = heading + 12 * self.plan.curvature + 0.02 * sway[3]
        pitch, roll = self._tilt + 0.006 * sway[2], 0.006 * sway[5]
        height = self._height + 0.02 * sway[4]
        position = np.array([x + offset * np.cos(heading), height, z - offset * np.sin(heading)])
        c, s = np.cos(yaw), np.sin(yaw)
        forward = np.array([s * np.cos(pitch), np.sin(pitch), c * np.cos(pitch)])
        right = np.array([c, 0, -s])
        up = np.cross(forward, right)
        c, s = np.cos(roll), np.sin(roll)
        axes = np.stack([c * right + s * up, c * up - s * right, forward])
        return Camera(position, axes, self._focal * self.size[1], self.size)

    def faces(self, time: int) -> Faces:
        """Everything near the camera at a frame but what is too small; the sky comes first."""
        parts = [self._horizon]
        station, _ = self.place(time)
        for number, belt in enumerate(self._belts):
            for stretch in belt.stretches(station, time):
                ahead = stretch * belt.length + belt.speed * time - station
                parts.append(self._stretch(number, stretch, max(int(ahead // 10), 0)))
        return Faces.join(parts)

    def _make(self, number: int, stretch: int, tens: int) -> Faces:
        """A stretch of a belt as it is seen from at least ten times `tens` metres."""
        if tens:
            least = view.LEAST / (self._focal * self.size[1]) * (10 * tens - 6)
            return self._stretch(number, stretch, 0).larger(least)
        belt, place = self._belts[number], stretch % _STRETCHES
        rng = np.random.default_rng([VERSION, self.seed, 2 + number, place])
        builder = Builder(rng, (number * _STRETCHES + place) * _OWNERS)
        belt.fill(builder, stretch * belt.length)
        return builder.faces()


def scene(
    seed: int, *, size: tuple[int, int] = (192, 384), frames: int = 48, light: float | None = None
) -> Scene:
    """The street of a seed, seen from a car that drives along it.

    `size` is (height, width) in pixels: other sizes show the same scene; `frames` its length at
    15 frames a second. `light`: 0 night, 0.3 dusk, 1 day; by default drawn from the seed. A frame
    depends on (seed, size, light, its number) alone.
    """
    return Scene(seed, size, frames, light)
