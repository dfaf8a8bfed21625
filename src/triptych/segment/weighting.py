"""Weights of the classes in the loss."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.labelled import LabelledData
from triptych.errors import UserError

Weighting = Literal["log", "median"]


def pixel_counts(frames: LabelledData) -> NDArray[np.int64]:
    """Labelled pixels of every class (classes,), over a whole split."""
    counts = np.zeros(256, np.int64)
    for index in range(len(frames)):
        counts += np.bincount(frames.load(index)[1].ravel(), minlength=256)
    return counts[: len(frames.classes)]


def class_weights(weighting: Weighting, counts: NDArray[np.int64]) -> Tensor:
    """Weights (classes,) float32 from pixel counts; see `SegmentRecipe`.

    Scaled so that the average pixel weighs 1. A class without any pixel weighs as the rarest.
    Raises UserError where no class has any.
    """
    if not counts.any():
        raise UserError("every training label is void: check the data, or --set class_weights=none")
    share = counts / counts.sum()
    share = np.maximum(share, share[share > 0].min())
    weights = 1 / np.log(1.02 + share) if weighting == "log" else np.median(share) / share
    return torch.from_numpy(weights / (weights * counts).sum() * counts.sum()).float()
