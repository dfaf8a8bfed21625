"""Training batches: order, augmentation and prefetching, the same on any number of threads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from triptych.data.kept import MEMORY_LIMIT, Kept
from triptych.data.labelled import Checkable, Image, LabelledData, LabelMap
from triptych.segment.augment import UNCHANGED, augment, draws_of
from triptych.segment.recipes import SegmentRecipe
from triptych.training.fingerprints import row_hashes
from triptych.training.prefetch import prefetched, steps_per_epoch
from triptych.training.seeding import stream


class CachedFrames:
    """A split whose decoded frames are kept in memory as long as they fit.

    Implements `LabelledData`; may be read by several threads.
    """

    def __init__(self, data: LabelledData, limit: int = MEMORY_LIMIT) -> None:
        self.name, self.split, self.classes = data.name, data.split, data.classes
        self.keys, self.groups = data.keys, data.groups
        self._data = data
        self._kept = Kept(data.load, lambda frame: frame[0].nbytes + frame[1].nbytes, limit)
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self._data)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        return self._kept.get(index)

    def check(self, index: int) -> tuple[int, int]:
        """Height and width of a frame. Raises UserError naming a file that is broken.

        A frame that fits is loaded and kept. Of one that does not, which would have to be loaded
        again, only what `Checkable` promises is looked at.
        """
        if self._kept.full and index not in self._kept and isinstance(self._data, Checkable):
            return self._data.check(index)
        height, width = self.load(index)[1].shape
        return height, width

    def fingerprint(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = self._data.fingerprint()
        return self._fingerprint


@dataclass(frozen=True)
class Batch:
    """Pictures (N, 3, H, W) uint8, label maps (N, H, W) int64."""

    images: Tensor
    labels: Tensor
    sources: Tensor
    """(N,) int64, hashes of the frames as they lie in the data."""
    seconds: float
    """Processor time that it took the thread that made it."""


def epoch_batches(
    frames: LabelledData, recipe: SegmentRecipe, seed: int, epoch: int, *, start: int = 0
) -> Iterator[Batch]:
    """The batches of one epoch from step `start` on.

    Order and augmentation are drawn per sample from streams of (seed, epoch, step), so neither the
    number of threads nor a restart in the middle changes a batch. Where frames have different
    sizes, the recipe must crop them or take one at a time.
    """
    order = torch.randperm(len(frames), generator=stream(seed, "order", epoch)).tolist()
    size = recipe.batch_size

    def make(step: int) -> Batch:
        began = time.thread_time()
        chosen = order[step * size : (step + 1) * size]
        draws = draws_of(len(chosen), seed, epoch, step)
        loaded = [frames.load(index) for index in chosen]
        pairs = [augment(*frame, recipe, d) for frame, d in zip(loaded, draws, strict=True)]
        labels = np.stack([label for _, label in pairs])
        return Batch(
            as_tensor([image for image, _ in pairs]),
            torch.from_numpy(labels.astype(np.int64)),
            torch.cat([frame_hash(image) for image, _ in loaded]),
            time.thread_time() - began,
        )

    yield from prefetched(make, range(start, steps_per_epoch(len(frames), size)))


def as_tensor(images: Sequence[Image]) -> Tensor:
    """Pictures (H, W, 3) as one batch (N, 3, H, W) uint8, channels last in memory."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def frame_hash(image: Image) -> Tensor:
    """The hash of one frame's pixels, (1,) int64."""
    return row_hashes(torch.from_numpy(np.array(image))[None])


def probe(
    frames: LabelledData, recipe: SegmentRecipe, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """Copies of one frame augmented with the draws of the epoch's first batch, and not at all.

    Both (N, 3, H, W) uint8: how many versions does a batch hold?
    """
    count = min(recipe.batch_size, len(frames))
    image, label = frames.load(0)
    plain = augment(image, label, recipe.without_augmentation(), UNCHANGED)[0]
    versions = [augment(image, label, recipe, d)[0] for d in draws_of(count, seed, epoch, 0)]
    return as_tensor(versions), as_tensor([plain] * count)
