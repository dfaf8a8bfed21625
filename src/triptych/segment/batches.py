"""Training batches: order, augmentation and prefetching, the same on any number of threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.data.classes import VOID
from triptych.data.labelled import Image, LabelledData, LabelMap
from triptych.errors import UserError
from triptych.segment.recipes import SegmentRecipe
from triptych.training.fingerprints import row_hashes
from triptych.training.seeding import stream

MEMORY_LIMIT = 4 << 30
"""Bytes of decoded frames that are kept; a larger data set is decoded anew in every epoch."""


class CachedFrames:
    """A split whose decoded frames are kept in memory as long as they fit.

    Implements `LabelledData`; may be read by several threads.
    """

    def __init__(self, data: LabelledData, limit: int = MEMORY_LIMIT) -> None:
        self.name, self.split, self.classes = data.name, data.split, data.classes
        self.keys, self.groups = data.keys, data.groups
        self._data = data
        self._limit = limit
        self._frames: dict[int, tuple[Image, LabelMap]] = {}
        self._bytes = 0
        self._fingerprint: str | None = None

    def __len__(self) -> int:
        return len(self._data)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        frame = self._frames.get(index)
        if frame is None:
            frame = self._data.load(index)
            size = frame[0].nbytes + frame[1].nbytes
            if self._bytes + size <= self._limit:
                self._frames[index] = frame
                self._bytes += size
        return frame

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


def steps_per_epoch(frames: int, batch_size: int) -> int:
    """Updates of an epoch; the last, smaller batch is left out unless it is the only one."""
    return max(frames // batch_size, 1)


def epoch_batches(
    frames: LabelledData, recipe: SegmentRecipe, seed: int, epoch: int, *, start: int = 0
) -> Iterator[Batch]:
    """The batches of one epoch from step `start` on.

    Order and augmentation are drawn per sample from streams of (seed, epoch, step), so neither the
    number of threads nor a restart in the middle changes a batch.
    """
    order = torch.randperm(len(frames), generator=stream(seed, "order", epoch)).tolist()
    size = recipe.batch_size

    def make(step: int) -> Batch:
        chosen = order[step * size : (step + 1) * size]
        draws = draws_of(len(chosen), seed, epoch, step)
        loaded = [frames.load(index) for index in chosen]
        pairs = [augment(*frame, recipe, d) for frame, d in zip(loaded, draws, strict=True)]
        if len({image.shape for image, _ in pairs}) > 1:
            raise UserError(
                f"the frames of {recipe.data} have different sizes; crop them: --set crop=H,W"
            )
        images = np.stack([image for image, _ in pairs]).transpose(0, 3, 1, 2)
        labels = np.stack([label for _, label in pairs])
        return Batch(
            torch.from_numpy(images),
            torch.from_numpy(labels.astype(np.int64)),
            torch.cat([frame_hash(image) for image, _ in loaded]),
        )

    workers = min(os.cpu_count() or 1, 8)
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for step in range(start, steps_per_epoch(len(frames), size)):
                waiting.append(pool.submit(make, step))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def frame_hash(image: Image) -> Tensor:
    """The hash of one frame's pixels, (1,) int64."""
    return row_hashes(torch.from_numpy(np.ascontiguousarray(image))[None])


def draws_of(count: int, seed: int, epoch: int, step: int) -> NDArray[np.float32]:
    """The random numbers (count, 6) of one batch, see `augment`."""
    numbers = torch.rand((count, 6), generator=stream(seed, "augment", epoch, step))
    drawn: NDArray[np.float32] = numbers.numpy()
    return drawn


def probe(
    frames: LabelledData, recipe: SegmentRecipe, seed: int, epoch: int
) -> tuple[Tensor, Tensor]:
    """Copies of one frame augmented with the draws of the epoch's first batch, and not at all.

    Both (N, 3, H, W) uint8: how many versions does a batch hold?
    """
    count = min(recipe.batch_size, len(frames))
    image, label = frames.load(0)
    nothing = replace(recipe, scale=(1.0, 1.0), flip=False, jitter=0.0)
    middle = np.full(6, 0.5, np.float32)
    plain = augment(image, label, nothing, middle)[0]
    versions = [augment(image, label, recipe, d)[0] for d in draws_of(count, seed, epoch, 0)]
    both = (np.stack(versions), np.stack([plain] * count))
    first, second = (torch.from_numpy(each.transpose(0, 3, 1, 2)) for each in both)
    return first, second


def augment(
    image: Image, label: LabelMap, recipe: SegmentRecipe, draws: NDArray[np.float32]
) -> tuple[Image, LabelMap]:
    """One frame augmented by six numbers from [0, 1): scale, y, x, flip, brightness, contrast.

    What the crop takes from outside the frame is black and void.
    """
    height, width = recipe.crop or image.shape[:2]
    low, high = recipe.scale
    scale = float(low * (high / low) ** draws[0])
    if scale != 1.0:
        size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=interpolation), np.uint8)
        label = np.asarray(cv2.resize(label, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    top = _offset(image.shape[0] - height, draws[1])
    left = _offset(image.shape[1] - width, draws[2])
    image = _window(image, top, left, height, width, 0)
    label = _window(label, top, left, height, width, VOID)
    if recipe.flip and draws[3] < 0.5:
        image, label = image[:, ::-1], label[:, ::-1]
    if recipe.jitter:
        brightness = 1 + recipe.jitter * (2 * float(draws[4]) - 1)
        contrast = 1 + recipe.jitter * (2 * float(draws[5]) - 1)
        grey = float(image.mean()) * brightness
        table = np.arange(256) * brightness * contrast + grey * (1 - contrast)
        image = np.clip(table, 0, 255).astype(np.uint8)[image]
    return image, label


def _offset(room: int, draw: float) -> int:
    """Where the window begins: anywhere inside, or with the frame anywhere inside the window."""
    return round(room * float(draw))


def _window(
    picture: NDArray[np.uint8], top: int, left: int, height: int, width: int, fill: int
) -> NDArray[np.uint8]:
    inside = picture[max(top, 0) : top + height, max(left, 0) : left + width]
    if inside.shape[:2] == (height, width):
        return inside
    window = np.full((height, width, *picture.shape[2:]), fill, np.uint8)
    y, x = max(-top, 0), max(-left, 0)
    window[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return window
