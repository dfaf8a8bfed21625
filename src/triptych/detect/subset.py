"""Some pictures of a split, drawn by number."""

from __future__ import annotations

import hashlib
import json

import torch

from triptych.data.boxes import DetectionData, Objects, left_out_of
from triptych.data.labelled import Image
from triptych.errors import UserError
from triptych.training.seeding import stream


class Subset:
    """A `DetectionData` of `count` pictures of another, in its order; a larger one holds a smaller
    one of the same seed. Raises UserError where there are not as many."""

    def __init__(self, data: DetectionData, count: int, seed: int) -> None:
        if count > len(data):
            raise UserError(
                f"{data.name} {data.split} has {len(data)} images, not {count}: ask for fewer"
            )
        order = torch.randperm(len(data), generator=stream(seed, "subset", data.split)).tolist()
        self._data = data
        self._chosen = sorted(order[:count])
        self.name, self.split, self.classes = data.name, data.split, data.classes
        self.keys = [data.keys[index] for index in self._chosen]
        groups = data.groups
        self.groups = None if groups is None else [groups[index] for index in self._chosen]
        self.left_out = left_out_of(data)
        """Of the whole split."""

    def __len__(self) -> int:
        return len(self._chosen)

    def load(self, index: int) -> tuple[Image, Objects]:
        return self._data.load(self._chosen[index])

    def objects(self, index: int) -> Objects:
        return self._data.objects(self._chosen[index])

    def fingerprint(self) -> str:
        """That of the whole split, and which pictures of it these are."""
        about = json.dumps([self._data.fingerprint(), list(self.keys)])
        return hashlib.sha256(about.encode()).hexdigest()
