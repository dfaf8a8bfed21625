"""Arms from outside: another program's detections as COCO results, a JSON file.

    [{"image_id": "000007", "category_id": "car", "bbox": [x, y, width, height], "score": 0.9}, …]

`bbox` is in pixels of the picture from its upper left corner. `image_id` is the picture's key in
the data (`000007`), its file name (`000007.jpg`), or the number that the data's own COCO file has
for it; a number may also stand for a key that is the same number with zeros before it, if no two
keys could be meant. `category_id` is a class's name, or its number in the data's own COCO file.
Otherwise the file is an object that says what its numbers mean, as COCO files do:

    {"categories": [{"id": 7, "name": "car"}, …], "annotations": [the list above],
     "images": [{"id": 1, "file_name": "000007.jpg"}, …]}

`images` may be left out where `image_id` is a key or a file name. A picture that no entry names has
no detections.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, runtime_checkable

import numpy as np

from triptych.data.boxes import DetectionData
from triptych.data.labelled import Image
from triptych.detect.detections import Detections, no_detections
from triptych.errors import UserError

Id = int | str


@runtime_checkable
class Numbered(Protocol):
    """Data whose own file numbers its pictures and classes."""

    image_ids: Mapping[int, str]
    """Number of a picture → its key."""
    category_ids: Mapping[int, str]
    """Number of a class → its name."""


class ResultsFile:
    """The detections of a file as a predictor for one data set's pictures."""

    def __init__(self, path: Path, data: DetectionData) -> None:
        """Raises UserError naming the file, and the entry, that is wrong."""
        self.name = str(path)
        entries, images, categories = _parsed(path, data)
        self.classes = categories.names
        self._by_key: dict[str, Detections] = {}
        rows: dict[str, list[tuple[list[float], float, int]]] = {}
        for number, entry in enumerate(entries):
            where = f"{path}, entry {number}"
            if not isinstance(entry, dict):
                raise UserError(
                    f"{where}: must be an object with image_id, category_id, bbox, score"
                )
            key = images.key(entry.get("image_id"), where)
            label = categories.label(entry.get("category_id"), where)
            rows.setdefault(key, []).append((_box(entry, where), _score(entry, where), label))
        for key, members in rows.items():
            boxes, scores, labels = zip(*members, strict=True)
            self._by_key[key] = Detections(
                np.array(boxes, np.float32),
                np.array(scores, np.float64),
                np.array(labels, np.int64),
            )

    def predict(self, images: Sequence[Image], keys: Sequence[str]) -> list[Detections]:
        """What the file has for these keys."""
        return [self._by_key.get(key, no_detections()) for key in keys]


def _parsed(path: Path, data: DetectionData) -> tuple[list[Any], _Images, _Categories]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON in UTF-8 ({error})") from None
    table = content if isinstance(content, dict) else {}
    entries = table.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise UserError(
            f"{path}: must be a list of detections, or an object with that list as `annotations`"
        )
    own = data if isinstance(data, Numbered) else None
    files = _listed(path, table, "images", "file_name")
    images = _Images(data, files or (own.image_ids if own else {}))
    meanings = _listed(path, table, "categories", "name")
    names = meanings or dict(own.category_ids if own else {})
    return entries, images, _Categories(data, names, listed=bool(meanings))


def _listed(path: Path, table: Mapping[str, Any], name: str, field: str) -> dict[int, str]:
    """Number → name from a list of objects."""
    found: dict[int, str] = {}
    for entry in table.get(name) or ():
        good = isinstance(entry, dict) and type(entry.get("id")) is int
        if not good or not isinstance(entry.get(field), str):
            raise UserError(f"{path}: each of `{name}` needs a number `id` and a text `{field}`")
        if entry["id"] in found:
            raise UserError(f"{path}: `{name}` has the id {entry['id']} twice")
        found[entry["id"]] = entry[field]
    return found


class _Images:
    """From an `image_id` to the key of a picture."""

    def __init__(self, data: DetectionData, numbers: Mapping[int, str]) -> None:
        self._data = data
        self._numbers = numbers
        # Of pictures that are not scored, because they are broken, another program may know more.
        keys = dict.fromkeys([*data.keys, *getattr(data, "without", ())])
        stems: dict[str, str | None] = {}
        for key in keys:
            stem = PurePosixPath(key).name
            stems[stem] = None if stem in stems else key
        # A whole key goes before the end of another one; an end that two keys have is no name.
        self._keys: dict[str, str | None] = {**stems, **{key: key for key in keys}}
        self._digits: dict[int, list[str]] = {}
        for key in keys:
            if key.isascii() and key.isdecimal():
                self._digits.setdefault(int(key), []).append(key)

    def key(self, given: Any, where: str) -> str:
        by_number = type(given) is int and not self._numbers
        found = self._of_number(given, where) if by_number else self._find(given)
        if found is None:
            raise UserError(
                f"{where}: image_id {given!r} is no picture of {self._data.name} "
                f"{self._data.split}, whose first is {next(iter(self._data.keys), None)!r}"
            )
        return found

    def _of_number(self, given: int, where: str) -> str | None:
        """The key that is this number, with zeros before it if need be."""
        alike = self._digits.get(given, [])
        if len(alike) > 1 and str(given) not in alike:
            raise UserError(
                f"{where}: image_id {given} may be {' or '.join(map(repr, alike))}; write the "
                "picture's key as a text"
            )
        return str(given) if str(given) in alike else next(iter(alike), None)

    def _find(self, given: Any) -> str | None:
        if type(given) is int:
            named = self._numbers.get(given)
            return None if named is None else self._find(named)
        if not isinstance(given, str):
            return None
        if given in self._keys:
            return self._keys[given]
        path = PurePosixPath(given)
        for name in (path.with_suffix("").as_posix() if path.name else given, path.name, path.stem):
            if self._keys.get(name) is not None:
                return self._keys[name]
        return None


class _Categories:
    """From a `category_id` to a label of the file's own classes."""

    def __init__(self, data: DetectionData, numbers: Mapping[int, str], listed: bool) -> None:
        self.names = tuple(dict.fromkeys(numbers.values())) if listed else tuple(data.classes)
        self._labels = {name: label for label, name in enumerate(self.names)}
        self._numbers = numbers

    def label(self, given: Any, where: str) -> int:
        if type(given) is int and not self._numbers:
            raise UserError(
                f"{where}: category_id {given} is a number, and nothing says which class it is; "
                'write the name, or make the file {"categories": […], "annotations": […]}'
            )
        name = self._numbers.get(given) if type(given) is int else given
        if not isinstance(name, str) or name not in self._labels:
            near = get_close_matches(str(given), self.names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UserError(f"{where}: category_id {given!r} is no class{hint}")
        return self._labels[name]


def _box(entry: Mapping[str, Any], where: str) -> list[float]:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_finite, box)):
        raise UserError(f"{where}: bbox must be four numbers x, y, width, height, not {box!r}")
    x, y, width, height = map(float, box)
    if width < 0 or height < 0:
        raise UserError(f"{where}: bbox {box} has a negative width or height (they are no corners)")
    return [x, y, x + width, y + height]


def _score(entry: Mapping[str, Any], where: str) -> float:
    score = entry.get("score")
    if not _finite(score):
        raise UserError(f"{where}: score must be a number, not {score!r}")
    return float(score)  # type: ignore[arg-type]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
