"""From a model's classes to those of the data: built in where known, else from a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import CAMVID, CITYSCAPES, VOID, ClassSet
from triptych.data.folder import read_entries
from triptych.errors import UserError

CITYSCAPES_TO_CAMVID = {
    "road": "Road",
    "sidewalk": "Pavement",
    "building": "Building",
    "wall": "Building",
    "fence": "Fence",
    "pole": "Pole",
    "traffic light": "SignSymbol",
    "traffic sign": "SignSymbol",
    "vegetation": "Tree",
    "terrain": "Tree",
    "sky": "Sky",
    "person": "Pedestrian",
    "rider": "Bicyclist",
    "car": "Car",
    "truck": "Car",
    "bus": "Car",
    "train": "Car",
    "motorcycle": "Bicyclist",
    "bicycle": "Bicyclist",
}
"""Cityscapes' 19 classes as CamVid's 11, by name."""


@dataclass(frozen=True)
class ClassMapping:
    """What each of a model's label ids means in the classes of the data."""

    target: ClassSet
    ids: Mapping[int, int]
    """The data's class id, or `VOID`, by the model's id; ids that are not here are refused."""
    name: str
    """For the record: `identity`, `cityscapes19 to camvid11`, or the file's name."""
    source_names: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def _table(self) -> NDArray[np.int16]:
        table = np.full(256, -1, np.int16)
        table[VOID] = VOID
        table[list(self.ids)] = list(self.ids.values())
        return table

    def apply(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Label maps, any shape, in the data's ids. Raises UserError for an id without meaning."""
        mapped = self._table[labels]
        if mapped.size and mapped.min() < 0:
            strange = int(labels[mapped < 0][0])
            raise UserError(
                f"predicted label id {strange} has no meaning in {self.target.name} "
                f"(mapping: {self.name}); `triptych evaluate` takes its meaning from a --map FILE"
            )
        return mapped.astype(np.uint8)

    def as_dict(self) -> dict[str, str | None]:
        """For the record: the data's class by the model's, None for void."""
        return {
            self.source_names.get(source, str(source)): (
                None if target == VOID else self.target.names[target]
            )
            for source, target in self.ids.items()
        }


def mapping_between(source: ClassSet, target: ClassSet) -> ClassMapping:
    """The built-in mapping: identity, or Cityscapes to CamVid. Raises UserError for any other."""
    names = dict(enumerate(source.names))
    if source.names == target.names:
        return ClassMapping(target, {number: number for number in names}, "identity", names)
    if (source.names, target.names) == (CITYSCAPES.names, CAMVID.names):
        ids = {
            number: target.names.index(CITYSCAPES_TO_CAMVID[name]) for number, name in names.items()
        }
        return ClassMapping(target, ids, f"{source.name} to {target.name}", names)
    raise UserError(
        f"no mapping is known from the model's classes ({source.name}, {len(source)}) to the "
        f"data's ({target.name}, {len(target)}); `triptych evaluate` takes one as --map FILE, "
        "elsewhere a model must label in the data's classes"
    )


def read_mapping(path: Path, source: ClassSet | None, target: ClassSet) -> ClassMapping:
    """A mapping from a TOML file of the model's classes:

        [[class]]
        id = 0                  # the model's label id
        name = "road"           # the model's name for it
        target = "Road"         # the data's class, by name or id
        [[class]]
        id = 1
        name = "sky"
        void = true             # instead of target: never right, see `segment/metrics.py`

    `id` may be left out where the model has a class of that name, and `name` where there is an
    `id`. Every class of `source` must be listed; with None (predictions of an unknown model) any
    ids may be, and a prediction that is not among them is refused when it is met. Raises
    UserError naming what is wrong in the file.
    """
    ids: dict[int, int] = {}
    names: dict[int, str] = {}
    for entry in read_entries(path, ("id", "name", "void", "target")):
        number = _source_id(path, entry, source)
        if number in ids:
            raise UserError(f"{path}: class {number} is listed twice")
        ids[number] = _target_id(path, entry, number, target)
        if "name" in entry:
            names[number] = entry["name"]
        elif source is not None and number < len(source):
            names[number] = source.names[number]
    if source is not None:
        missing = [name for number, name in enumerate(source.names) if number not in ids]
        if missing:
            raise UserError(
                f"{path}: does not list the model's class {missing[0]!r}"
                f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}; give each a "
                "`target` or `void = true`"
            )
    return ClassMapping(target, ids, path.name, names)


def _source_id(path: Path, entry: dict[str, Any], source: ClassSet | None) -> int:
    number, name = entry.get("id"), entry.get("name")
    if name is not None and not isinstance(name, str):
        raise UserError(f"{path}: `name` must be text, not {name!r}")
    if number is None:
        if name is None:
            raise UserError(f"{path}: every [[class]] needs an `id` or a `name`")
        if source is None:
            raise UserError(f"{path}: class {name!r} needs its `id`, for the model has no names")
        return _index(path, name, source, "model")
    if type(number) is not int or not 0 <= number < VOID:
        raise UserError(f"{path}: `id` must be from 0 to {VOID - 1}, not {number!r}")
    if (
        source is not None
        and name is not None
        and number < len(source)
        and name.casefold() != source.names[number].casefold()
    ):
        raise UserError(f"{path}: the model's class {number} is {source.names[number]}, not {name}")
    return number


def _target_id(path: Path, entry: dict[str, Any], number: int, target: ClassSet) -> int:
    void, wanted = entry.get("void", False), entry.get("target")
    if void == (wanted is not None):
        raise UserError(f"{path}: class {number} needs either `target` or `void = true`")
    if void:
        return VOID
    if isinstance(wanted, str):
        return _index(path, wanted, target, "data")
    if type(wanted) is not int or not 0 <= wanted < len(target):
        raise UserError(
            f"{path}: class {number} has target {wanted!r}, but the data's ids are 0 to "
            f"{len(target) - 1}"
        )
    return wanted


def _index(path: Path, name: str, classes: ClassSet, whose: str) -> int:
    lowered = [known.casefold() for known in classes.names]
    if name.casefold() in lowered:
        return lowered.index(name.casefold())
    near = get_close_matches(name.casefold(), lowered, 1)
    hint = f"; did you mean {classes.names[lowered.index(near[0])]}?" if near else ""
    raise UserError(f"{path}: the {whose} has no class {name!r}{hint}")
