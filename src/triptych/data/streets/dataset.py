"""Street scenes as a labelled data set with splits, the default where no other data is given."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache

from triptych.data.classes import CITYSCAPES
from triptych.data.labelled import Image, LabelMap
from triptych.data.streets.scene import VERSION, Scene, StreetFrame, scene
from triptych.errors import UserError

SPLITS = ("train", "val", "test")
_SPLIT_SEEDS = 1_000_000
"""Scene seeds that each split has for itself."""
_DRIVE = 48
"""Frames of a scene that the data set's frames are spread over."""


@lru_cache(maxsize=32)
def _scene(seed: int, size: tuple[int, int], frames: int) -> Scene:
    return scene(seed, size=size, frames=frames)


class Streets:
    """One split of `scenes` street scenes with `frames_per_scene` frames of (height, width) each.

    Implements `LabelledData`; a scene is a group, and no two splits share one. Frames are drawn
    when they are loaded, in any order and from any number of threads or processes. Raises
    UserError for an unknown split or a count that is not positive.
    """

    name = "streets"
    classes = CITYSCAPES

    def __init__(
        self, split: str = "train", scenes: int = 24, frames_per_scene: int = 12,
        size: tuple[int, int] = (96, 192), seed: int = 0,
    ) -> None:  # fmt: skip
        if split not in SPLITS:
            raise UserError(f"streets has no split {split!r}; choose one of {', '.join(SPLITS)}")
        if not 1 <= scenes <= _SPLIT_SEEDS or frames_per_scene < 1 or min(size) < 1 or seed < 0:
            raise UserError(
                f"streets needs 1 to {_SPLIT_SEEDS:,} scenes, at least 1 frame per scene, a size "
                f"of at least 1x1 and a seed from 0; got scenes={scenes}, "
                f"frames_per_scene={frames_per_scene}, size={size}, seed={seed}"
            )
        self.split, self.size = split, size
        self._length = max(_DRIVE, frames_per_scene)
        first = (seed * len(SPLITS) + SPLITS.index(split)) * _SPLIT_SEEDS
        times = [k * self._length // frames_per_scene for k in range(frames_per_scene)]
        self._items = [(first + number, time) for number in range(scenes) for time in times]
        self.groups = tuple(f"s{number:04d}" for number, _ in self._items)
        self.keys = tuple(f"s{number:04d}_f{time:03d}" for number, time in self._items)

    def __len__(self) -> int:
        return len(self._items)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        """Picture (H, W, 3) and label map (H, W) of a frame."""
        frame = self.frame(index)
        return frame.image, frame.labels

    def frame(self, index: int) -> StreetFrame:
        """A frame with all that is known of it."""
        number, time = self._items[index]
        return _scene(number, self.size, self._length)[time]

    def check(self, index: int) -> tuple[int, int]:
        """Height and width of a frame; nothing can be wrong with it."""
        return self.size

    def fingerprint(self) -> str:
        """sha256 over which frames these are, the generator's version, and a few frames' pixels."""
        digest = hashlib.sha256(json.dumps([VERSION, self.size, self.keys]).encode())
        for index in sorted({0, len(self) // 2, len(self) - 1}):
            for array in self.load(index):
                digest.update(array.tobytes())
        return digest.hexdigest()
