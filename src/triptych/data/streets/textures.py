"""Tileable textures of the street, made once, with mip levels so that far surfaces do not flicker.

A texture has three channels that a surface gives its own colours: *shade* multiplies them,
*mix* goes from the surface's first colour to its second (wall to window glass), *glow* says what
gives light (lit windows).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

SIDE = 256
"""Texels along a texture's side at mip level 0."""
LEVELS = 9

Plane = NDArray[np.float32]


def _noise(rng: np.random.Generator, roughness: float, stretch: float = 1.0) -> Plane:
    """Periodic noise with spectrum 1 / frequency ** roughness, mean 0 and standard deviation 1."""
    fy = np.fft.fftfreq(SIDE)[:, None] * SIDE * stretch
    fx = np.fft.rfftfreq(SIDE)[None, :] * SIDE
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE)))
    spectrum /= np.maximum(np.hypot(fx, fy), 1.0) ** roughness
    plane = np.fft.irfft2(spectrum, (SIDE, SIDE))
    return np.asarray((plane - plane.mean()) / plane.std(), np.float32)


def _grid(columns: int, rows: int, offset: bool = False) -> tuple[Plane, Plane, NDArray[np.int64]]:
    """Position in its cell (0 to 1, right and up) of every texel, and the cell's number."""
    v, u = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    row = np.floor(v * rows)
    u = (u * columns + (0.5 * (row % 2) if offset else 0.0)) % columns
    number = (row * columns + np.floor(u)).astype(np.int64)
    return (u % 1).astype(np.float32), (v * rows % 1).astype(np.float32), number


def _inside(x: Plane, y: Plane, left: float, right: float, low: float, high: float) -> Plane:
    return np.asarray((x > left) & (x < right) & (y > low) & (y < high), np.float32)


def _masonry(rng: np.random.Generator, columns: int, rows: int, joint: float, vary: float) -> Plane:
    x, y, cell = _grid(columns, rows, offset=True)
    aspect = rows / columns
    seam = 1 - _inside(x, y, joint, 1 - joint, joint / aspect, 1 - joint / aspect)
    tone = 1 + vary * rng.standard_normal(columns * rows).astype(np.float32)[cell]
    return np.asarray(tone * (1 - 0.28 * seam) + 0.04 * _noise(rng, 0.6), np.float32)


def _facade(rng: np.random.Generator, columns: int, rows: int, style: int) -> NDArray[np.float32]:
    """Windows with frames, sills and reveals on plaster, brick or concrete; some are lit."""
    x, y, cell = _grid(columns, rows)
    left, low, high = ((0.27, 0.24, 0.80), (0.20, 0.30, 0.82), (0.06, 0.32, 0.86))[style]
    right = 1 - left
    window = _inside(x, y, left, right, low, high)
    panes = _inside(x, y, left + 0.04, right - 0.04, low + 0.03, high - 0.03)
    for bar in (0.5,) if style < 2 else (0.35, 0.65):
        panes *= np.abs(x - bar) > 0.018
    if style == 0:
        panes *= np.abs(y - 0.62) > 0.018
    wall = _masonry(rng, 48, 96, 0.06, 0.05) if style == 1 else 1 + 0.05 * _noise(rng, 1.2)
    wall = wall - 0.07 * np.clip(_noise(rng, 1.5, 0.15), 0, 3)  # streaks of rain down the wall
    sill = _inside(x, y, left - 0.05, right + 0.05, low - 0.06, low)
    lintel = _inside(x, y, left - 0.03, right + 0.03, high, high + 0.05)
    shade = wall + 0.22 * sill - 0.2 * lintel - 0.12 * (np.abs(y) < 0.025)
    shade = np.where(window > 0, 1.2, shade)  # frame
    tone = rng.uniform(0.5, 1.25, columns * rows).astype(np.float32)[cell]
    curtain = (y > rng.uniform(0.2, 1.6, columns * rows).astype(np.float32)[cell]) * panes
    shade = np.where(panes > 0, tone * (0.75 + 0.6 * (y - low)) + 0.7 * curtain, shade)
    lit = (rng.random(columns * rows) < 0.4) * rng.uniform(0.4, 1.0, columns * rows)
    glow = lit.astype(np.float32)[cell] * panes * (0.8 + 0.2 * _noise(rng, 1.0))
    return np.stack([shade, panes, glow]).astype(np.float32)


def _shops(rng: np.random.Generator) -> NDArray[np.float32]:
    """A ground floor of shop windows, doors and a sign band."""
    x, y, cell = _grid(4, 1)
    door = cell % 2 == 1
    pane = np.where(door, _inside(x, y, 0.3, 0.7, 0.03, 0.66), _inside(x, y, 0.05, 0.95, 0.16, 0.7))
    pane *= np.abs(x - 0.5) > 0.012
    frame = np.where(door, _inside(x, y, 0.22, 0.78, 0, 0.7), _inside(x, y, 0, 1, 0.1, 0.74))
    band = _inside(x, y, 0.02, 0.98, 0.78, 0.95) * (cell != 1)
    goods = rng.uniform(0.7, 1.5, (8, 32)).repeat(32, 0).repeat(8, 1).astype(np.float32)
    shade = 1 + 0.05 * _noise(rng, 1.0) - 0.35 * frame
    shade = np.where(pane > 0, np.where(y < 0.4, goods, 1.1) * (1.3 - y), shade)
    letters = (rng.random((1, 64)).repeat(SIDE, 0).repeat(4, 1) < 0.55) & (np.abs(y - 0.865) < 0.05)
    shade = np.where(band > 0, 0.7 + 0.9 * letters * (np.abs(x - 0.5) < 0.38), shade)
    glow = pane * 0.8 + band * letters * 0.5
    return np.stack([shade, np.maximum(pane, band * 0.35), glow]).astype(np.float32)


def _leaves(rng: np.random.Generator) -> NDArray[np.float32]:
    clumps, detail = _noise(rng, 1.1), _noise(rng, 0.5)
    shade = 0.92 + 0.2 * clumps + 0.2 * detail
    return np.stack([np.clip(shade, 0.3, 1.7), np.clip(0.5 + 0.35 * clumps, 0, 1), 0 * clumps])


def _asphalt(rng: np.random.Generator) -> Plane:
    patches, cracks = _noise(rng, 1.6), np.abs(_noise(rng, 1.4))
    grain = 0.05 * _noise(rng, 0.1) + 0.05 * _noise(rng, 0.8)
    return np.asarray(1 + grain + 0.06 * patches - 0.2 * (cracks < 0.015), np.float32)


def _paving(rng: np.random.Generator) -> Plane:
    x, y, cell = _grid(4, 4)
    tone = 1 + 0.05 * rng.standard_normal(16).astype(np.float32)[cell]
    seam = 1 - _inside(x, y, 0.03, 0.97, 0.03, 0.97)
    return np.asarray(tone - 0.2 * seam + 0.04 * _noise(rng, 0.4), np.float32)


def _boards(rng: np.random.Generator) -> Plane:
    x, _, cell = _grid(16, 1)
    tone = 1 + 0.1 * rng.standard_normal(16).astype(np.float32)[cell]
    return np.asarray(
        np.where(np.abs(x - 0.5) > 0.44, 0.4, tone) + 0.06 * _noise(rng, 1.0, 0.1), np.float32
    )


def _ribs(rng: np.random.Generator) -> Plane:
    x, _, _ = _grid(24, 1)
    return np.asarray(1 + 0.09 * np.sin(2 * np.pi * x) + 0.04 * _noise(rng, 1.2), np.float32)


def _clouds(rng: np.random.Generator) -> NDArray[np.float32]:
    cover = np.clip(0.5 + 0.55 * _noise(rng, 1.7), 0, 1)
    shade = 1 + 0.05 * _noise(rng, 1.5)
    return np.stack([shade, cover**1.3, 0 * cover]).astype(np.float32)


def _grey(shade: Plane) -> NDArray[np.float32]:
    return np.stack([shade, np.zeros_like(shade), np.ones_like(shade)]).astype(np.float32)


_MAKERS: dict[str, Callable[[np.random.Generator], NDArray[np.float32]]] = {
    "plain": lambda rng: _grey(1 + 0.03 * _noise(rng, 1.0)),
    "asphalt": lambda rng: _grey(_asphalt(rng)),
    "paving": lambda rng: _grey(_paving(rng)),
    "bricks": lambda rng: _grey(_masonry(rng, 8, 24, 0.04, 0.09)),
    "concrete": lambda rng: _grey(1 + 0.08 * _noise(rng, 1.4) + 0.04 * _noise(rng, 0.3)),
    "tiles": lambda rng: _grey(_masonry(rng, 24, 24, 0.08, 0.1)),
    "boards": lambda rng: _grey(_boards(rng)),
    "ribs": lambda rng: _grey(_ribs(rng)),
    "cloth": lambda rng: _grey(1 + 0.12 * _noise(rng, 1.2)),
    "leaves": _leaves,
    "grass": lambda rng: np.stack(
        [1 + 0.13 * _noise(rng, 0.5), 0.5 + 0.4 * _noise(rng, 1.3), np.zeros((SIDE, SIDE))]
    ),
    "houses": lambda rng: _facade(rng, 4, 4, 0),
    "brickhouses": lambda rng: _facade(rng, 4, 4, 1),
    "offices": lambda rng: _facade(rng, 4, 4, 2),
    "shops": _shops,
    "clouds": _clouds,
}

NUMBER = {name: index for index, name in enumerate(_MAKERS)}
"""Position of every texture in the atlas."""


@cache
def atlas() -> NDArray[np.uint32]:
    """All textures with their mip levels, one after the other, rows from low v to high.

    A texel packs shade (64 = 1.0), mix and glow (255 = 1.0) into bytes 0, 1 and 2.
    """
    parts = []
    for index, make in enumerate(_MAKERS.values()):
        plane = make(np.random.default_rng([7, index]))
        scaled = np.clip(plane * np.array([64, 255, 255])[:, None, None], 0, 255)
        for _ in range(LEVELS):
            texel = np.zeros((*scaled.shape[1:], 4), np.uint8)
            texel[..., :3] = np.rint(scaled).astype(np.uint8).transpose(1, 2, 0)
            parts.append(texel.view(np.uint32).ravel())
            half = max(scaled.shape[1] // 2, 1)
            if half < scaled.shape[1]:
                scaled = scaled.reshape(3, half, 2, half, 2).mean((2, 4))
    return np.concatenate(parts)


TEXELS = sum(4**level for level in range(LEVELS))
"""Texels of one texture with all its mip levels."""
LEVEL_START = np.cumsum([0] + [4 ** (LEVELS - 1 - level) for level in range(LEVELS - 1)])
"""Where each mip level begins within a texture."""
