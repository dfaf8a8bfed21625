"""The shape in which every classification data set is read: a split in one array."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """One split of a classification data set, in memory."""

    name: str
    """As in a data specification: `cifar100`, `folder`, `objects`."""
    split: str
    pixels: NDArray[np.uint8]
    """RGB, shape (N, 3, H, W), contiguous."""
    labels: NDArray[np.int64]
    """Index into `classes` of every picture, shape (N,)."""
    classes: tuple[str, ...]
    keys: tuple[str, ...]
    """A unique name per picture, the file's where it has one."""

    def __post_init__(self) -> None:
        count = len(self.keys)
        if self.pixels.shape[:2] != (count, 3) or self.labels.shape != (count,):
            raise ValueError(
                f"{count} keys, pixels {self.pixels.shape} and labels {self.labels.shape}"
            )
        if self.pixels.dtype != np.uint8 or not self.pixels.flags.c_contiguous:
            raise ValueError(f"pixels must be contiguous bytes, not {self.pixels.dtype}")

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        return self.pixels.shape[2], self.pixels.shape[3]

    def fingerprint(self) -> str:
        """SHA-256 in hex of shape, pixels, labels and class names; keys and paths do not enter."""
        digest = hashlib.sha256(repr((self.pixels.shape, self.classes)).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.labels, "<i8").data)
        return digest.hexdigest()

    def take(
        self, indices: Sequence[int] | NDArray[np.integer], split: str | None = None
    ) -> LabelledImages:
        """These pictures in this order, as a copy; of another split where one is given."""
        chosen = np.asarray(indices, np.int64)
        return replace(
            self,
            split=split or self.split,
            pixels=self.pixels[chosen],
            labels=self.labels[chosen],
            keys=tuple(self.keys[index] for index in chosen),
        )


def by_content(images: LabelledImages) -> LabelledImages:
    """The same pictures in the order of their pixels' hashes, then labels, then keys.

    So a data set has one order, whatever files it came from, and a split drawn by seed is the same.
    """
    ranks = [
        (hashlib.sha256(picture).digest(), int(label), key)
        for picture, label, key in zip(images.pixels, images.labels, images.keys, strict=True)
    ]
    return images.take(sorted(range(len(images)), key=ranks.__getitem__))


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names made unique: what comes again gets `#2`, `#3`, … behind it."""
    seen: dict[str, int] = {}
    keys = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        keys.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return tuple(keys)
