"""Pairs of boundary tiles with the homography between them, drawn from label maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from triptych.data.labelled import LabelledData
from triptych.errors import UserError
from triptych.progress import bar
from triptych.segment.inverse.boundary import boundary_maps
from triptych.segment.inverse.degrade import degrade
from triptych.segment.inverse.homography import warp
from triptych.segment.inverse.networks import TILE
from triptych.segment.inverse.recipe import InverseRecipe
from triptych.training.fingerprints import row_hashes

MARGIN = TILE // 4
"""Pixels around a tile from which boundary can move into it."""
STRIDE = 8
"""Pixels between two places at which a tile may be cut."""


class Boundaries:
    """The boundary maps of a split, kept in memory, and the places of tiles in them.

    Raises UserError where no tile of the split holds enough boundary.
    """

    def __init__(self, data: LabelledData, frames: int, *, show_progress: bool = False) -> None:
        self._maps: list[Tensor] = []
        hashes, windows = [], []
        chosen = np.linspace(0, len(data) - 1, min(frames, len(data))).round().astype(int)
        with bar(f"boundaries of {data.name} {data.split}", len(chosen), unit="frame",
                 show=show_progress) as shown:  # fmt: skip
            for number, index in enumerate(chosen.tolist()):
                labels = torch.from_numpy(np.ascontiguousarray(data.load(index)[1]))
                boundary = boundary_maps(labels[None])[0][0]
                _, height, width = boundary.shape
                boundary = F.pad(boundary, (0, max(TILE - width, 0), 0, max(TILE - height, 0)))
                pixels = F.avg_pool2d(boundary, TILE, STRIDE) * TILE**2
                # Rounded: the mean of so many pixels need not give back a whole number.
                places = (pixels[0].round() >= TILE).nonzero() * STRIDE
                windows.append(torch.cat([torch.full((len(places), 1), number), places], dim=1))
                hashes.append(row_hashes(labels[None]))
                self._maps.append(F.pad(boundary, [MARGIN] * 4).to(torch.uint8))
                shown.advance(1)
        self.windows = torch.cat(windows)
        """(K, 3) int64: map, top and left of every tile with enough boundary."""
        self.hashes = torch.cat(hashes)
        """(maps,) int64 hashes of the label maps."""
        if not len(self.windows):
            raise UserError(
                f"{data.name} {data.split}: no tile of {TILE}x{TILE} pixels holds enough boundary "
                "between classes"
            )

    def cut(self, windows: Tensor) -> Tensor:
        """Tiles with their margin (N, 1, TILE + 2 MARGIN, the same), float32, by their places."""
        side = TILE + 2 * MARGIN
        tiles = [
            self._maps[number][:, top : top + side, left : left + side]
            for number, top, left in windows.tolist()
        ]
        return torch.stack(tiles).float()


@dataclass(frozen=True)
class Pairs:
    """Warped and true boundary tiles (N, 1, TILE, TILE), and what lies between them."""

    warped: Tensor
    true: Tensor
    coordinates: Tensor
    """(N, 8), see `homography.py`: they take the true map to the warped one."""
    sources: Tensor
    """(N,) int64, hashes of the label maps."""


def draw_pairs(
    maps: Boundaries, recipe: InverseRecipe, count: int, generator: torch.Generator
) -> Pairs:
    """Random tiles, each warped by a random homography, the recipe's share of them degraded."""
    windows = maps.windows[torch.randint(len(maps.windows), (count,), generator=generator)]
    around = maps.cut(windows)
    coordinates = draw_coordinates(recipe, count, generator)
    warped = warp(around, coordinates, TILE)
    worse = torch.rand(count, 1, 1, 1, generator=generator) < recipe.degraded
    warped = torch.where(worse, degrade(warped, generator), warped)
    return Pairs(warped, centre(around), coordinates, maps.hashes[windows[:, 0]])


def centre(around: Tensor) -> Tensor:
    """Tiles without their margin."""
    return around[..., MARGIN:-MARGIN, MARGIN:-MARGIN]


def draw_coordinates(recipe: InverseRecipe, count: int, generator: torch.Generator) -> Tensor:
    """Coordinates (count, 8) of homographies up to the recipe's largest, smaller ones more often.

    All coordinates of a homography are uniform up to a share of their largest that is itself
    uniform, since what a loss has to tell apart lies near identity.
    """
    share = torch.rand(count, 1, generator=generator)
    return (2 * torch.rand(count, 8, generator=generator) - 1) * share * largest(recipe)


def largest(recipe: InverseRecipe) -> Tensor:
    """The largest value of each coordinate (8,)."""
    shift, stretch, tilt = [recipe.shift] * 2, [recipe.stretch] * 2, [recipe.perspective] * 2
    return torch.tensor([*shift, recipe.rotation, recipe.scale, *stretch, *tilt])
