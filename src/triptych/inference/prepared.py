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
from triptych.inference.pipeline import Pipeline, Result, Size
from triptych.inference.runners import (
    Images,
    OpenVinoRunner,
    Precision,
    Runner,
    TorchRunner,
    cores,
)
from triptych.normalisation import Normalisation


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
    ) -> None:
        self.runtime = runtime
        self._model = model.eval()
        self._normalisation = normalisation
        self._classes = classes
        self._device = device
        self._input_size = input_size
        self._runners: dict[tuple[Any, ...], Runner] = {}
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
            self._model, self._normalisation, self._classes, self._input_size, output, result
        )
        if self.runtime.name == "torch":
            return TorchRunner(pipeline, self._device, self.runtime.precision)
        return OpenVinoRunner(pipeline, shape, self.runtime.precision)
