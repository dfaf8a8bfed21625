"""Training batches: order, augmentation and prefetching, the same on any number of threads."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from triptych.data.boxes import DetectionData, Objects, left_out_of
from triptych.data.kept import MEMORY_LIMIT, Kept
from triptych.data.labelled import Image
from triptych.detect.augment import UNCHANGED, augment, draws_of
from triptych.detect.models.detector import Target
from triptych.detect.models.settings import DetectorSettings
from triptych.detect.recipes import DetectRecipe
from triptych.training.prefetch import prefetched, steps_per_epoch
from triptych.training.seeding import stream


class CachedPictures:
    """A split whose decoded pictures are kept in memory as long as they fit; a `DetectionData`.

    May be read by several threads.
    """

    def __init__(self, data: DetectionData, limit: int = MEMORY_LIMIT) -> None:
        self.name, self.split, self.classes = data.name, data.split, data.classes
        self.keys, self.groups = data.keys, data.groups
        self.left_out = left_out_of(data)
        self._data = data
        self._kept = Kept(data.load, lambda found: found[0].nbytes, limit)
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self._data)

    def load(self, index: int) -> tuple[Image, Objects]:
        return self._kept.get(index)

    def objects(self, index: int) -> Objects:
        return self._data.objects(index)

    def fingerprint(self) -> str:
        if self._fingerprint is None:
            self._fingerprint = self._data.fingerprint()
        return self._fingerprint


@dataclass(frozen=True)
class Batch:
    """Pictures of any sizes as detectors take them, with their targets."""

    images: list[Tensor]
    """(3, H, W) uint8 each."""
    targets: list[Target]
    sources: Tensor
    """(N,) int64, hashes of the pictures as they lie in the data."""
    versions: Tensor
    """(N,) int64, hashes of `images`."""
    seconds: float
    """Processor time that it took the thread that made it."""


def epoch_batches(
    data: DetectionData,
    recipe: DetectRecipe,
    settings: DetectorSettings,
    seed: int,
    epoch: int,
    *,
    start: int = 0,
) -> Iterator[Batch]:
    """The batches of one epoch from step `start` on.

    Order and augmentation are drawn per sample from streams of (seed, epoch, step), so neither the
    number of threads nor a restart in the middle changes a batch.
    """
    order = torch.randperm(len(data), generator=stream(seed, "order", epoch)).tolist()
    size = recipe.batch_size

    def make(step: int) -> Batch:
        began = time.thread_time()
        chosen = order[step * size : (step + 1) * size]
        draws = draws_of(len(chosen), seed, epoch, step)
        loaded = [data.load(index) for index in chosen]
        pairs = [augment(*each, recipe, settings, d) for each, d in zip(loaded, draws, strict=True)]
        return Batch(
            [as_bytes(image) for image, _ in pairs],
            [as_target(objects) for _, objects in pairs],
            hashes(image for image, _ in loaded),
            hashes(image for image, _ in pairs),
            time.thread_time() - began,
        )

    return prefetched(make, range(start, steps_per_epoch(len(data), size)))


def plain_batches(
    data: DetectionData, settings: DetectorSettings, recipe: DetectRecipe, size: int
) -> Iterator[tuple[list[Tensor], list[Target]]]:
    """All pictures in order, as they are, in batches of `size`: what a loss is measured on."""
    plain = recipe.without_augmentation()

    def make(step: int) -> tuple[list[Tensor], list[Target]]:
        which = range(step * size, min((step + 1) * size, len(data)))
        pairs = [augment(*data.load(index), plain, settings, UNCHANGED) for index in which]
        return [as_bytes(image) for image, _ in pairs], [as_target(objects) for _, objects in pairs]

    return prefetched(make, range(-(-len(data) // size)))


def as_bytes(image: Image) -> Tensor:
    """A picture (H, W, 3) as (3, H, W) uint8."""
    return torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))


def as_target(objects: Objects) -> Target:
    """What a detector learns of a picture; it counts classes from 1, since 0 is the background."""
    return {
        "boxes": torch.from_numpy(objects.boxes),
        "labels": torch.from_numpy(objects.labels) + 1,
    }


def picture_hash(image: Image) -> int:
    """Hash of a picture's pixels and its size, of 64 bits, signed."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=8)
    digest.update(np.ascontiguousarray(image).data)
    return int.from_bytes(digest.digest(), "little", signed=True)


def hashes(images: Iterable[Image]) -> Tensor:
    """Of each picture, (N,) int64; they may have different sizes."""
    return torch.tensor([picture_hash(image) for image in images])


def probe(
    data: DetectionData, recipe: DetectRecipe, settings: DetectorSettings, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """Hashes of copies of one picture, augmented as the epoch's first batch and not at all.

    Both (N,): how many versions does a batch hold?
    """
    count = min(recipe.batch_size, len(data))
    picture = data.load(0)

    def versions(asked: DetectRecipe, draws: Sequence[np.ndarray]) -> Tensor:
        return hashes(augment(*picture, asked, settings, d)[0] for d in draws)

    drawn = versions(recipe, draws_of(count, seed, epoch, 0))
    return drawn, versions(recipe.without_augmentation(), [UNCHANGED]).expand(count)
