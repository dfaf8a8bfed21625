"""Sliding windows: a picture labelled tile by tile, for machines that cannot take it whole.

Tiles overlap, and from each only what lies away from its cut edges is kept (Ronneberger 2015,
U-Net: the overlap-tile strategy). Where a network sees no further than the halo that is cut off,
the result is that of the whole picture, if the picture's sides are multiples of the network's
stride; else it stretches its coarse maps to the whole picture, but not to a tile. A network that
looks at the whole picture (OCR, pyramid pooling, several scales) sees each tile alone instead: how
much that matters is measured.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.errors import UserError
from triptych.inference.pipeline import Pipeline, Size

GRID = 32
"""Tiles begin at its multiples, where the coarsest maps of most networks have a pixel's edge."""


@dataclass(frozen=True)
class Tiling:
    """Size of the tiles and of the halo that is cut off at each edge within the picture."""

    size: Size
    halo: Size
    grid: int = GRID
    """Tiles begin at its multiples."""

    @classmethod
    def of(cls, size: Size, grid: int = GRID) -> Tiling:
        """Tiles of that (height, width) with a halo of an eighth, at least `grid`.

        `grid` is the stride of the network's coarsest maps, or a multiple of it. Raises UserError
        for sides that are no multiple of it or less than four times as long.
        """
        if any(side < 4 * grid or side % grid for side in size):
            raise UserError(
                f"--tile {size[1]}x{size[0]}: sides must be multiples of {grid}, {4 * grid} or "
                "more, for this model"
            )
        return cls(size, (_halo(size[0], grid), _halo(size[1], grid)), grid)

    def __str__(self) -> str:
        return f"{self.size[1]}x{self.size[0]}"


@dataclass(frozen=True)
class Span:
    """One tile along one axis: it reaches from `start` to `stop`, and [`first`, `last`) is kept."""

    start: int
    stop: int
    first: int
    last: int


def spans(length: int, side: int, halo: int, grid: int) -> list[Span]:
    """Tiles along an axis of `length`: each begins at a multiple of `grid`; what is kept of them
    lies side by side and covers the axis. The last one may be shorter, by less than `grid`."""
    starts = [0]
    while starts[-1] + side < length:
        furthest = -(-(length - side) // grid) * grid  # where a tile reaches the end
        starts.append(min(starts[-1] + side - 2 * halo, furthest))
    stops = [min(start + side, length) for start in starts]
    edges = [0, *(stop - halo for stop in stops[:-1]), length]
    return [Span(*each) for each in zip(starts, stops, edges[:-1], edges[1:], strict=True)]


class Agreement:
    """Counts, over all pictures, the pixels that were cut off a tile and what became of them."""

    rule = (
        "share of the pixels in the halos of tiles where the tile would have said the same as the "
        "one that was kept; 1 for a model that sees no further than the halo"
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._same = self._seen = 0

    def add(self, same: int, seen: int) -> None:
        with self._lock:
            self._same += same
            self._seen += seen

    def forget(self) -> None:
        """Begin anew."""
        with self._lock:
            self._same = self._seen = 0

    @property
    def share(self) -> float | None:
        """None where no tile was cut."""
        return self._same / self._seen if self._seen else None


def stitch(
    inputs: Tensor,
    tiling: Tiling,
    run: Callable[[Tensor], Tensor],
    classes: int,
    agreement: Agreement | None = None,
) -> Tensor:
    """Maps (N, K, H, W) of inputs (N, 3, H, W), made of what `run` gives for each tile.

    `run` takes (N, 3, h, w) to (N, K, h, w). The first `classes` maps are those of which the
    largest is a pixel's label; how far tiles agree on it is counted in `agreement`.
    """
    height, width = inputs.shape[-2:]
    whole: Tensor | None = None
    said: list[tuple[Span, Span, Tensor]] = []
    for down in spans(int(height), tiling.size[0], tiling.halo[0], tiling.grid):
        for across in spans(int(width), tiling.size[1], tiling.halo[1], tiling.grid):
            maps = run(inputs[..., down.start : down.stop, across.start : across.stop])
            if whole is None:
                whole = maps.new_empty((*maps.shape[:2], int(height), int(width)))
            whole[..., down.first : down.last, across.first : across.last] = maps[
                ...,
                down.first - down.start : down.last - down.start,
                across.first - across.start : across.last - across.start,
            ]
            if agreement is not None:
                said.append((down, across, maps[:, :classes].max(1).indices.to(torch.uint8)))
    assert whole is not None
    if agreement is not None:
        kept = whole[:, :classes].max(1).indices.to(torch.uint8)
        for down, across, labels in said:
            same = labels == kept[:, down.start : down.stop, across.start : across.stop]
            inside = len(labels) * (down.last - down.first) * (across.last - across.first)
            agreement.add(int(same.sum()) - inside, labels.numel() - inside)
    return whole


class TiledRunner:
    """Runs a pipeline whose model sees one tile at a time.

    `run` takes arrays (N, 3, h, w), of at most four different sizes, to what the model says of
    them, (N, K, h, w).
    """

    def __init__(
        self,
        pipeline: Pipeline,
        tiling: Tiling,
        run: Callable[[NDArray[Any]], NDArray[Any]],
        agreement: Agreement,
    ) -> None:
        self._pipeline = pipeline
        self._tiling = tiling
        self._run = run
        self._agreement = agreement

    def __call__(self, images: NDArray[Any]) -> NDArray[Any]:
        with torch.inference_mode():
            batch = torch.from_numpy(np.require(images, requirements=["C", "W"]))
            maps = stitch(
                self._pipeline.inputs(batch),
                self._tiling,
                lambda tile: torch.from_numpy(self._run(tile.numpy())),
                self._pipeline.classes,
                self._agreement,
            )
            size = (int(batch.shape[1]), int(batch.shape[2]))
            result: NDArray[Any] = self._pipeline.answer(maps, size).numpy()
            return result


def _halo(side: int, grid: int) -> int:
    return max(grid, side // 8 // grid * grid)
