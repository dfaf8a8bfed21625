"""Files that `triptych export` wrote, run in their own runtimes."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import ClassSet
from triptych.errors import UserError
from triptych.exporting import open_session
from triptych.segment.labeller import FrameKey

OUTPUTS = ("labels", "logits")

Run = Callable[[NDArray[np.uint8]], tuple[NDArray[Any], NDArray[Any]]]
"""Pictures (N, H, W, 3) to labels (N, H, W) and logits (N, classes, H, W)."""


@dataclass(frozen=True)
class Opened:
    """An exported file, ready to run."""

    run: Run
    metadata: dict[str, str]


def open_exported(file: Path) -> Opened:
    """Open an exported file in its runtime, on the processor and in float32.

    Raises UserError where the runtime is not installed or cannot read the file.
    """
    session = open_session(file, OUTPUTS)

    def run(pictures: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        labels, logits = session.run(pictures)
        return labels, logits

    return Opened(run, session.metadata)


class ExportedLabeller:
    """A `Labeller` that runs an exported file, one call at a time on all cores.

    Pictures of another size than the file's are resized to it and logits back, as for `--size`.
    Raises UserError for a file that no `triptych export` wrote.
    """

    def __init__(self, file: Path, name: str | None = None) -> None:
        opened = open_exported(file)
        self._run = opened.run
        self._turn = threading.Lock()
        told = opened.metadata
        try:
            width, height = map(int, told["size"].split("x"))
            self._size = height, width
            self.size = told["size"]
            """WIDTHxHEIGHT to which frames are resized for it."""
            colours = tuple((int(r), int(g), int(b)) for r, g, b in json.loads(told["colours"]))
            self.classes = ClassSet(told["class_set"], tuple(json.loads(told["classes"])), colours)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(
                f"{file}: says nothing of its classes; models are files that `triptych export` "
                "wrote"
            ) from error
        self.name = name or file.name
        self.concurrency = 1
        self.runtime = f"{file.suffix[1:].lower()} file, float32"

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        """Label maps (N, H, W); see `Labeller.labels`. The file needs no `keys`."""
        target = size or (images.shape[1], images.shape[2])
        pictures = images if images.shape[1:3] == self._size else _resized(images, self._size)
        with self._turn:
            labels, logits = self._run(np.ascontiguousarray(pictures))
        if target == self._size:
            return np.asarray(labels, np.uint8)
        import torch
        from torch.nn import functional as F

        found = F.interpolate(torch.from_numpy(logits), target, mode="bilinear")
        return np.asarray(found.max(1).indices.to(torch.uint8).numpy(), np.uint8)


def _resized(images: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bicubic, antialiased where they shrink, as `Pipeline` does it, to whole numbers again."""
    import torch
    from torch.nn import functional as F

    shrinks = size[0] < images.shape[1] or size[1] < images.shape[2]
    x = torch.from_numpy(np.require(images, requirements=["C", "W"])).permute(0, 3, 1, 2).float()
    x = F.interpolate(x, size, mode="bicubic", antialias=shrinks).clamp(0, 255).round()
    return np.asarray(x.permute(0, 2, 3, 1).to(torch.uint8).numpy(), np.uint8)
