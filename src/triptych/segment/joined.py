"""Frames of two data sets as one training split, in the classes of the first."""

from __future__ import annotations

import hashlib

from triptych.data.labelled import Checkable, Image, LabelledData, LabelMap
from triptych.data.mapping import mapping_between
from triptych.data.open_data import open_data
from triptych.errors import UserError


def with_extra(frames: LabelledData, extra: str | None) -> LabelledData:
    """`frames`, and with them the `train` split of the data that a recipe's `extra_data` names."""
    return frames if extra is None else JoinedFrames(frames, open_data(extra, "train"))


class JoinedFrames:
    """The frames of `first`, then those of `extra` with their classes mapped to the first's.

    Implements `LabelledData`. Raises UserError where there is no mapping between the classes.
    """

    def __init__(self, first: LabelledData, extra: LabelledData) -> None:
        self.name, self.split, self.classes = first.name, first.split, first.classes
        self.keys = [*first.keys, *(f"{extra.name}/{key}" for key in extra.keys)]
        self.groups = [*first.groups, *(f"{extra.name}/{group}" for group in extra.groups)]
        self._first, self._extra = first, extra
        try:
            self._mapping = mapping_between(extra.classes, first.classes)
        except UserError:
            raise UserError(
                f"extra_data: its classes ({extra.name}: {extra.classes.name}, "
                f"{len(extra.classes)}) are not those of the data ({first.name}: "
                f"{first.classes.name}, {len(first.classes)}), nor Cityscapes' for CamVid's: label "
                "it in the data's classes, or --set extra_data=none"
            ) from None

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        data, place = self._place(index)
        image, labels = data.load(place)
        return image, labels if data is self._first else self._mapping.apply(labels)

    def check(self, index: int) -> tuple[int, int]:
        """Height and width of a frame, see `Checkable`."""
        data, place = self._place(index)
        if isinstance(data, Checkable):
            return data.check(place)
        return data.load(place)[1].shape

    def _place(self, index: int) -> tuple[LabelledData, int]:
        beyond = index - len(self._first)
        return (self._first, index) if beyond < 0 else (self._extra, beyond)

    def fingerprint(self) -> str:
        both = f"{self._first.fingerprint()} {self._extra.fingerprint()}"
        return hashlib.sha256(both.encode()).hexdigest()
