"""`classes.json`: which classes a run's model or a folder of label images has."""

from __future__ import annotations

from pathlib import Path

from triptych.data.classes import VOID, ClassSet
from triptych.data.frames import LabelCode
from triptych.errors import UserError
from triptych.run import read_json, write_json

CLASSES = "classes.json"


def write_classes(folder: Path, classes: ClassSet) -> None:
    """Record the classes of a folder's ids."""
    record = {"name": classes.name, "names": classes.names, "colours": classes.colours}
    write_json(folder / CLASSES, record)


def read_classes(folder: Path) -> ClassSet:
    """The classes of a folder. Raises UserError where the record is missing or broken."""
    record = read_json(folder / CLASSES)
    try:
        colours = tuple((int(r), int(g), int(b)) for r, g, b in record["colours"])
        names = tuple(map(str, record["names"]))
        if not 0 < len(names) == len(colours) <= VOID:
            raise ValueError
        return ClassSet(str(record["name"]), names, colours)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder / CLASSES} is not a record of classes") from None


def code_of(classes: ClassSet) -> LabelCode:
    """What label files of a recorded folder hold: the classes' own ids, 255 for void."""
    return LabelCode(ids={VOID: VOID, **{number: number for number in range(len(classes))}})
