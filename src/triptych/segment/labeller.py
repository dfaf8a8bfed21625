"""The one thing that predicting and evaluating need of a model: pictures in, label maps out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import ClassSet


@dataclass(frozen=True)
class FrameKey:
    """Which frame a picture is, for models that are folders of label images."""

    stem: str
    """The picture's file name without its ending; of a video, the video's; of data, the key."""
    index: int
    """Position in the folder (natural order) or in the video, from 0."""


class Labeller(Protocol):
    """A segmentation model ready to run on this machine."""

    name: str
    classes: ClassSet
    concurrency: int
    """How many threads may usefully call `labels` at the same time; it is thread safe."""

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        """Label maps (N, H, W) of RGB pictures (N, H, W, 3), class ids or 255 for void.

        `size` is the (height, width) of the result, by default that of the pictures; logits are
        resized to it (bilinear) before the argmax. Raises UserError where a frame has no labels.
        """
        ...


class EdgeLabeller(Labeller, Protocol):
    """A labeller that also predicts where the boundaries are: its `edges` is true."""

    edges: bool

    def labels_and_edges(
        self, images: NDArray[np.uint8], keys: Sequence[FrameKey]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Label maps of RGB pictures and boundary maps, probabilities from 0 to 255; (N, H, W)."""
        ...
