"""One look at one frame of a data set: what is in its files, or why they cannot be used."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.data.copies import digest, signature
from triptych.data.frames import ColourCoded, Frame, LabelCode, read_picture, size_text
from triptych.data.labelled import Image, LabelledData
from triptych.data.luminance import luminance
from triptych.errors import UserError


@dataclass
class Look:
    """What was seen; a picture or label file that cannot be read leaves its fields empty."""

    group: str
    number: int | None
    picture: str
    """The picture's file, or the frame's key where there are no files."""
    label: str
    values: Counter[tuple[int, bool]] = field(default_factory=Counter)
    """Pixels by label value, with whether the value is a colour."""
    luminance: float | None = None
    digest: bytes | None = None
    """Hash of the picture's pixels."""
    signature: NDArray[np.float32] | None = None
    unreadable: dict[str, str] = field(default_factory=dict)
    """Why a file cannot be used (a line that names it), by file."""
    colour_coded: bool = False
    """The label file holds colours where ids are due."""
    mismatch: str | None = None
    """The two sizes, where picture and label differ."""


def look_into(code: LabelCode, frame: Frame) -> Look:
    """Read the two files of a frame."""
    look = Look(frame.group, frame.number, str(frame.picture), str(frame.label))
    picture = values = None
    try:
        picture = read_picture(frame.picture)
        _note_picture(look, picture)
    except UserError as error:
        look.unreadable[look.picture] = str(error)
    try:
        values, coloured = code.values(frame.label)
        _note_values(look, values, coloured)
    except ColourCoded:
        look.colour_coded = True
    except UserError as error:
        look.unreadable[look.label] = str(error)
    if picture is not None and values is not None and picture.shape[:2] != values.shape:
        look.mismatch = f"label {size_text(values.shape)}, picture {size_text(picture.shape)}"
    return look


def look_at_picture(group: str, picture: Path) -> Look:
    """Read a picture whose labels lie in no label map."""
    look = Look(group, None, str(picture), str(picture))
    try:
        _note_picture(look, read_picture(picture))
    except UserError as error:
        look.unreadable[look.picture] = str(error)
    return look


def look_at(data: LabelledData, index: int) -> Look:
    """Load a frame of data that has no files."""
    picture, labels = data.load(index)
    look = Look(data.groups[index], None, data.keys[index], data.keys[index])
    _note_picture(look, picture)
    _note_values(look, labels.astype(np.int32), False)
    return look


def _note_picture(look: Look, picture: Image) -> None:
    look.luminance = luminance(picture)
    look.digest = digest(picture)
    look.signature = signature(picture)


def _note_values(look: Look, values: NDArray[np.int32], coloured: bool) -> None:
    found, counts = np.unique(values, return_counts=True)
    for value, count in zip(found.tolist(), counts.tolist(), strict=True):
        look.values[value, coloured] = count
