"""Light, haze and lens: the colours of a painted frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.data.streets.camera import Camera, Painting, Pose
from triptych.data.streets.faces import LABEL, SKY
from triptych.data.streets.textures import LEVEL_START, LEVELS, SIDE, TEXELS, atlas

Vector = NDArray[np.float64]

_STEPS = (0.0, 0.3, 0.6, 1.0)
_AMBIENT = ((0.15, 0.16, 0.23), (0.34, 0.33, 0.42), (0.62, 0.60, 0.60), (0.78, 0.82, 0.88))
_SUN = ((0.0, 0.0, 0.0), (0.10, 0.05, 0.02), (0.52, 0.40, 0.26), (0.62, 0.58, 0.50))
_HORIZON = ((0.11, 0.09, 0.11), (0.74, 0.47, 0.36), (0.86, 0.80, 0.72), (0.80, 0.87, 0.94))
_ZENITH = ((0.015, 0.02, 0.06), (0.20, 0.24, 0.42), (0.36, 0.50, 0.72), (0.24, 0.46, 0.82))
_CLOUD = ((0.09, 0.08, 0.10), (0.55, 0.40, 0.40), (0.85, 0.82, 0.80), (0.95, 0.96, 0.98))


def _at(light: float, colours: tuple[tuple[float, float, float], ...]) -> Vector:
    return np.array([np.interp(light, _STEPS, channel) for channel in zip(*colours, strict=True)])


@dataclass(frozen=True)
class Weather:
    """The light of a scene: `light` from 0 (night) over 0.3 (dusk) to 1 (day)."""

    light: float
    sun: Vector
    """Direction to the sun in the world, length 1."""
    overcast: float
    """0 for sun, 1 for an even grey sky."""
    haze: float
    """Part of the light that is lost per metre."""

    @property
    def night(self) -> float:
        """How much lamps and windows shine, from 0 to 1."""
        return float(np.clip((0.55 - self.light) / 0.4, 0, 1))

    @property
    def horizon(self) -> Vector:
        bright = _at(self.light, _HORIZON)
        return np.asarray(bright + self.overcast * 0.8 * (0.95 * bright.mean() - bright))

    def sky(self) -> tuple[Vector, Vector]:
        """Colour of the zenith and of clouds."""
        zenith, cloud = _at(self.light, _ZENITH), _at(self.light, _CLOUD)
        grey = 0.85 * cloud.mean()
        return zenith + self.overcast * 0.85 * (grey - zenith), cloud * (1 - 0.1 * self.overcast)

    def on(self, normals: Vector) -> Vector:
        """Light on surfaces with these outward normals, shape (F, 3)."""
        facing = np.clip(normals @ self.sun, 0, 1)[:, None]
        open_sky = (0.82 + 0.18 * normals[:, 1:2]) * (1 + 0.15 * self.overcast)
        return open_sky * _at(self.light, _AMBIENT) + facing * (
            (1 - 0.85 * self.overcast) * _at(self.light, _SUN)
        )


@cache
def _noise_pool() -> NDArray[np.float32]:
    return np.random.default_rng(11).standard_normal(1 << 20, dtype=np.float32)


def _texels(
    u: NDArray[np.float32], v: NDArray[np.float32], level: NDArray[np.int32],
    texture: NDArray[np.int32],
) -> NDArray[np.uint8]:  # fmt: skip
    """Texture bytes (N, 4) at (u, v), in repeats of the texture, at a mip level."""
    side = np.right_shift(SIDE, level)
    column = np.floor(u * side).astype(np.int32) & (side - 1)
    row = np.floor(v * side).astype(np.int32) & (side - 1)
    start = texture * TEXELS + LEVEL_START.astype(np.int32)[level]
    texel: NDArray[np.uint32] = atlas().take(start + row * side + column)
    return texel.view(np.uint8).reshape(-1, 4)


def render(
    painting: Painting, rows: NDArray[np.void], seen: Pose, camera: Camera, weather: Weather,
    noise: int | None,
) -> NDArray[np.uint8]:  # fmt: skip
    """The picture (H, W, 3) of a painting; `noise` seeds the sensor's noise, None is none."""
    rows, seen = rows[painting.shown], seen.pick(painting.shown)
    night = weather.night
    # To texture repeats, with the pixel's inverse depth (a sky's elevation) as third value.
    inverse = np.linalg.inv(seen.matrices)
    inverse[:, :2] /= rows["tile"][:, :, None]
    # What is seen from behind and is no solid shows a back with a light of its own.
    back = ~seen.turned() & ~rows["one_sided"]
    lit = weather.on(np.where(back[:, None], -seen.normals, seen.normals))
    infinite = rows["layer"] == SKY
    sky = rows["label"] == LABEL["sky"]
    lit[infinite] = lit[infinite].mean(1, keepdims=True)
    first, second = rows["first"] * lit, rows["second"] * lit
    first[sky], second[sky] = weather.sky()
    glow = rows["glow"] * np.maximum(night, rows["always"])[:, None]
    size = np.log2(np.abs(np.linalg.det(inverse)) * SIDE**2 + 1e-30)
    # Station along the road of a surface point, for the lamps that stand at every 24 m.
    forward = np.stack([-np.sin(rows["yaw"]), 0 * rows["yaw"], np.cos(rows["yaw"])], 1)
    s0 = seen.stations + np.sum(rows["origin"] * forward, 1)
    su = np.sum(rows["a"] * forward, 1) * rows["tile"][:, 0]
    sv = np.sum(rows["b"] * forward, 1) * rows["tile"][:, 1]
    table = np.column_stack(
        [inverse.reshape(-1, 9), size, first, second - first, glow, s0, su, sv]
    ).astype(np.float32)

    number = painting.number.ravel()
    value = [column.take(number) for column in np.ascontiguousarray(table.T)]
    right, up = (np.broadcast_to(axis, camera.size).ravel() for axis in camera.rays())
    u = value[0] * right + value[1] * up + value[2]
    v = value[3] * right + value[4] * up + value[5]
    w = value[6] * right + value[7] * up + value[8]
    w = np.maximum(w, 1e-4)
    u, v = np.clip(u / w, -1e4, 1e4), np.clip(v / w, -1e4, 1e4)
    footprint = 0.5 * (value[9] - 3 * np.log2(w)) - np.log2(camera.focal) + 0.3
    level = np.clip(np.rint(footprint), 0, LEVELS - 1).astype(np.int32)
    texel = _texels(u, v, level, rows["texture"].astype(np.int32)[number])
    shade, mix = texel[:, 0] * np.float32(1 / 64), texel[:, 1] * np.float32(1 / 255)
    clear = np.exp(-np.float32(weather.haze) / w)
    if infinite.any():
        high = 1 - np.exp(-3.2 * np.maximum(w, 0))
        clear = np.where(infinite[number], np.where(sky[number], high, np.float32(0.3)), clear)
    gain = np.ones_like(w)
    if night > 0:
        phase = value[19] + u * value[20] + v * value[21]
        pool = (0.5 + 0.5 * np.cos((2 * np.pi / 24) * phase)) ** 2
        beam = np.exp(-((right / 0.45) ** 2) - ((up + 0.1) / 0.16) ** 2) * np.clip(14 * w, 0, 1)
        beam *= np.clip(2.0 - 0.02 / w, 0.5, 2)
        gain += night * np.where(infinite[number], 0, 0.9 * pool + 2.2 * beam)
        clear = 1 - (1 - clear) * (1 - 0.5 * night)
    shade *= gain * clear
    veil = 1 - clear
    shine = texel[:, 2] * (clear / np.float32(255))
    picture = np.empty((len(number), 3), np.float32)
    light = np.empty_like(picture)
    tint = (1.0, 1.0 - 0.12 * night, 1.0 - 0.3 * night)
    for channel in range(3):
        base = value[10 + channel] + mix * value[13 + channel]
        light[:, channel] = shine * value[16 + channel]
        base = base * shade * np.float32(tint[channel]) + light[:, channel]
        picture[:, channel] = base + veil * np.float32(weather.horizon[channel])
    return _lens(picture.reshape(*camera.size, 3), light.reshape(*camera.size, 3), weather, noise)


def _lens(
    picture: NDArray[np.float32], light: NDArray[np.float32], weather: Weather, noise: int | None
) -> NDArray[np.uint8]:
    """Bloom around lights, the lens's blur, the sensor's noise."""
    height, width = picture.shape[:2]
    if weather.night > 0:
        small = cv2.resize(light, (-(-width // 4), -(-height // 4)), interpolation=cv2.INTER_AREA)
        halo = cv2.GaussianBlur(small, (0, 0), width / 240) + 0.5 * cv2.GaussianBlur(
            small, (0, 0), width / 80
        )
        picture += 0.8 * weather.night * cv2.resize(halo, (width, height))
    picture = cv2.GaussianBlur(picture, (3, 3), 0.55)
    if noise is not None:
        count = height * width * 3
        pool = _noise_pool()
        start = noise % (len(pool) - min(count, len(pool)) + 1)
        grain = np.resize(pool[start:], count) if count > len(pool) else pool[start : start + count]
        picture += grain.reshape(picture.shape) * np.float32(0.008 + 0.014 * weather.night)
    return cv2.convertScaleAbs(np.clip(picture, 0, 1), alpha=255.0)  # type: ignore[no-any-return]
