"""`classes.json` of a detector's run: the names of its classes by label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from triptych.errors import UserError
from triptych.run import read_json, write_json

CLASSES = "classes.json"


def write_class_names(folder: Path, names: Sequence[str]) -> None:
    """Record the names of a run's classes, in the order of its labels."""
    write_json(folder / CLASSES, {"classes": list(names)})


def read_class_names(folder: Path) -> tuple[str, ...]:
    """The names of a run's classes by label. Raises UserError where the record is no such thing."""
    names = read_json(folder / CLASSES).get("classes")
    good = isinstance(names, list) and names and all(isinstance(each, str) for each in names)
    if not isinstance(names, list) or not good or len(set(names)) < len(names):
        raise UserError(f"{folder / CLASSES} is not a record of a detector's classes")
    return tuple(names)
