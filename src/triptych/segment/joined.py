"""Frames of two data sets as one training split, in the classes of the first."""

from __future__ import annotations

import hashlib

from triptych.data.labelled import Image, LabelledData, LabelMap
from triptych.data.mapping import mapping_between
from triptych.errors import UserError


class JoinedFrames:
    """The frames of `first`, then those of `extra` with their classes mapped to the first's.

    Implements `LabelledData`. Raises UserError where there is no mapping between the classes.
    """

    def __init__(self, first: LabelledData, extra: LabelledData) -> None:
        self.name, self.split, self.classes = first.name, first.split, first.classes
        self.keys = [*first.keys, *(f"{extra.name}/{key}" for key in extra.keys)]
        self.groups = [*first.groups, *(f"{extra.name}/{group}" for group in extra.groups)]
        self._first, self._extra = first, extra
        self._mapping = mapping_between(extra.classes, first.classes)

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        if index < len(self._first):
            return self._first.load(index)
        image, labels = self._extra.load(index - len(self._first))
        try:
            return image, self._mapping.apply(labels)
        except UserError as error:
            raise UserError(f"{self.keys[index]}: {error}") from error

    def fingerprint(self) -> str:
        both = f"{self._first.fingerprint()} {self._extra.fingerprint()}"
        return hashlib.sha256(both.encode()).hexdigest()
