"""A model with a runtime: graphs made when a shape first comes, then kept."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from triptych.errors import UserError
from triptych.inference.pipeline import Maps, Pipeline, Result, Size
from triptych.inference.runners import Images, OpenVinoRunner, Runner, TorchRunner, cores
from triptych.inference.tiles import Agreement, TiledRunner, Tiling
from triptych.normalisation import Normalisation
from triptych.recipe import Precision


@dataclass(frozen=True)
class Runtime:
    """What runs a model, and in which precision."""

    name: Literal["torch", "openvino"]
    precision: Precision = "float32"

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


class Prepared:
    """A model ready for pictures of any size; safe to call from several threads."""

    def __init__(
        self,
        model: nn.Module,
        normalisation: Normalisation,
        classes: int,
        *,
        runtime: Runtime,
        device: torch.device,
        input_size: Size | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        self.runtime = runtime
        self.input_size = input_size
        """(height, width) to which pictures are resized before the model; None as they come."""
        self.tiling = tiling
        """The tiles in which the model sees a picture; None where it sees all of it."""
        self.agreement = Agreement()
        """How far tiles agree where they overlap, over all that was labelled."""
        self._model = model.eval()
        self._normalisation = normalisation
        self._classes = classes
        self._device = device
        self._runners: dict[tuple[Any, ...], Runner] = {}
        self._tile_runners: dict[tuple[Any, ...], Runner] = {}
        self._making = threading.Lock()

    @property
    def concurrency(self) -> int:
        """How many threads may usefully call at the same time."""
        return cores() if self.runtime.name == "openvino" else 1

    def __call__(self, images: Images) -> NDArray[np.float32]:
        """Logits (N, classes, H, W) of RGB pictures (N, H, W, 3)."""
        return self._runner(images, None, "logits")(images)

    def labels(self, images: Images, size: Size | None = None) -> NDArray[np.uint8]:
        """Label maps (N, H, W) of RGB pictures, at `size` or at that of the pictures."""
        return self._runner(images, size, "labels")(images)

    def labels_and_edges(self, images: Images) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Label maps of RGB pictures and the probability of a boundary, 0 to 255; both (N, H, W).

        For models that predict boundaries: they have `edges` in their `forward_train`.
        """
        both = self._runner(images, None, "labels and edges")(images)
        return both[:, 0], both[:, 1]

    def _runner(self, images: Images, size: Size | None, result: Result) -> Runner:
        """The graph for pictures of this shape, made when it is first needed."""
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
            raise UserError(
                "pictures must be 8-bit RGB of shape (N, H, W, 3), "
                f"not {images.dtype} of {images.shape}"
            )
        output = size or (images.shape[1], images.shape[2])
        key = (images.shape, output, result)
        with self._making:
            if key not in self._runners:
                self._runners[key] = self._make(key)
            return self._runners[key]

    def _make(self, key: tuple[tuple[int, ...], Size, Result]) -> Runner:
        shape, output, result = key
        pipeline = Pipeline(
            self._model, self._normalisation, self._classes, self.input_size, output, result
        )
        if self.tiling is None:
            return self._on_runtime(pipeline, shape, torch.uint8)
        edges = pipeline.maps.edges
        return TiledRunner(
            pipeline, self.tiling, lambda tile: self._tile(tile, edges), self.agreement
        )

    def _tile(self, tile: NDArray[Any], edges: bool) -> NDArray[Any]:
        """What the model says of one tile, (N, 3, h, w) to (N, K, h, w)."""
        key = (tile.shape, edges)
        with self._making:
            if key not in self._tile_runners:
                maps = Maps(self._model, edges)
                self._tile_runners[key] = self._on_runtime(maps, tile.shape, torch.float32)
            runner = self._tile_runners[key]
        return runner(tile)

    def _on_runtime(self, module: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> Runner:
        if self.runtime.name == "torch":
            return TorchRunner(module, self._device, self.runtime.precision)
        return OpenVinoRunner(module, shape, self.runtime.precision, dtype)
