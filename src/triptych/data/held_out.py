"""Which pictures are kept back for validation or test, where a data set does not say."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.training.seeding import stream

SHARE = 10
"""A split that must be drawn gets one picture in this many."""


def default_count(labels: NDArray[np.int64]) -> int:
    """Pictures to keep back where nobody says how many: a tenth, at least one of every class."""
    return max(round(len(labels) / SHARE), len(np.unique(labels)))


def hold_out(
    labels: NDArray[np.int64], count: int, seed: int, split: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices that stay and indices that are kept back for `split`, each in rising order.

    Every class is shuffled by the stream (seed, "hold out", split); its r-th of n pictures stands
    at r/n, and the `count` pictures that stand first are kept back. So classes keep their shares
    to within one picture, and a larger `count` adds pictures without exchanging any.
    """
    order = torch.randperm(len(labels), generator=stream(seed, "hold out", split)).numpy()
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        place[members] = np.arange(len(members)) / len(members)
    # Equal places are common; a stable sort leaves them in the drawn order.
    ranked = order[np.argsort(place[order], kind="stable")]
    return np.sort(ranked[count:]), np.sort(ranked[:count])
