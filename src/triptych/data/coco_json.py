"""Boxes of one's own in COCO's form (Lin 2014): `coco:FILE.json,PICTURES`.

    {"images": [{"id": 1, "file_name": "a.jpg", "width": 640, "height": 480}, …],
     "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [x, y, width, height],
                      "iscrowd": 0}, …],
     "categories": [{"id": 3, "name": "car"}, …]}

File names are paths in the folder PICTURES. Classes are labelled from 0 in the order of their ids.
One file is one split: `{split}` in either name stands for train, val or test, as in
`coco:annotations/{split}.json,images/{split}`; without it the only split is `all`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from triptych.data.box_problems import Kind, Problem
from triptych.data.boxed_files import (
    SPLITS,
    UNSPLIT,
    Annotated,
    BoxedFiles,
    BoxedFolder,
    Entry,
    Reading,
)
from triptych.errors import UserError

SPLIT = "{split}"


class COCOFiles(BoxedFiles):
    """One split, with the numbers that its file has for pictures and classes."""

    image_ids: Mapping[int, str]
    """Number of a picture → its key, also of one that was left out."""
    category_ids: Mapping[int, str]
    """Number of a class → its name."""


class COCOFolder(BoxedFolder):
    """A data set in the form of this module's docstring. Raises UserError where a file is not."""

    name = "coco"

    def __init__(self, file: str, pictures: str) -> None:
        self._file, self._pictures = file, pictures
        self._read: dict[str, _Read] = {}
        first, *others = self.splits()
        self.classes = self._of(first).classes
        for split in others:
            if self._of(split).classes != self.classes:
                raise UserError(
                    f"{self._path(split)}: names other classes than {self._path(first)}; all "
                    "splits must have the same, in the same order of ids"
                )

    def splits(self) -> list[str]:
        if SPLIT not in self._file + self._pictures:
            return [UNSPLIT]
        found = [split for split in SPLITS if self._path(split).is_file()]
        if not found:
            raise UserError(f"{self._file}: no such file for any of {', '.join(SPLITS)}")
        return found

    def _path(self, split: str) -> Path:
        return Path(self._file.replace(SPLIT, split)).expanduser()

    def _of(self, split: str) -> _Read:
        if split not in self._read:
            place = Path(self._pictures.replace(SPLIT, split)).expanduser()
            if not place.is_dir():
                raise UserError(f"{place}: no such folder")
            self._read[split] = _read(self._path(split), place)
        return self._read[split]

    def read(self, split: str) -> Reading:
        there = self.splits()
        if split not in there:
            hint = f"; put {SPLIT} into its name for more" if there == [UNSPLIT] else ""
            raise UserError(
                f"{self._file}: no split {split!r} here; there are: {', '.join(there)}{hint}"
            )
        return self._of(split).reading

    def open(self, split: str, strict: bool = True) -> COCOFiles:
        """One split, see `BoxedFolder.open`."""
        plain = super().open(split, strict)
        files = COCOFiles(
            plain.name,
            split,
            plain.classes,
            plain.pictures,
            findings=plain.findings,
            left_out=plain.left_out,
            without=plain.without,
        )
        read = self._of(split)
        files.image_ids, files.category_ids = read.images, read.categories
        return files


class _Read:
    """What one file says."""

    def __init__(
        self, reading: Reading, images: dict[int, str], categories: dict[int, str]
    ) -> None:
        self.reading, self.images, self.categories = reading, images, categories
        self.classes = tuple(categories[number] for number in sorted(categories))


def _read(path: Path, pictures: Path) -> _Read:
    content = _content(path)
    problems: list[Problem] = []
    absent: dict[int, str] = {}

    def wrong(kind: Kind, where: str, what: str, key: str | None = None) -> None:
        problems.append(Problem(kind, str(path), f"{path}, {where}: {what}", key))

    categories = _categories(path, content)
    images: dict[int, tuple[str, Path, tuple[int, int] | None]] = {}
    keys: set[str] = set()
    for number, image in enumerate(_entries(path, content, "images")):
        where, identity = f"image {number}", image.get("id")
        name = image.get("file_name")
        if type(identity) is not int:
            wrong("missing id", where, "has no id that is a whole number")
        elif identity in images:
            wrong("duplicate id", where, f"id {identity} is there twice")
        elif not isinstance(name, str) or not _inside(name):
            wrong("no picture", where, f"file_name {name!r} is no path in {pictures}")
        elif (key := PurePosixPath(name).with_suffix("").as_posix()) in keys:
            wrong("duplicate id", where, f"{name} is there twice, or has another's stem")
        elif not (pictures / name).is_file():
            absent[identity] = key
            wrong("no picture", where, f"{pictures / name}: no such picture", key)
        else:
            keys.add(key)
            images[identity] = (key, pictures / name, _size(image))
    objects = _objects(path, content, images, categories, problems)
    entries = [
        Entry(key, place, str(path), size, tuple(objects.get(identity, ())))
        for identity, (key, place, size) in images.items()
    ]
    numbers = absent | {identity: key for identity, (key, _, _) in images.items()}
    return _Read(Reading(tuple(entries), tuple(problems)), numbers, categories)


def _objects(
    path: Path,
    content: Mapping[str, Any],
    images: Mapping[int, tuple[str, Path, tuple[int, int] | None]],
    categories: Mapping[int, str],
    problems: list[Problem],
) -> dict[int, list[Annotated]]:
    """The objects of every image by its id."""
    found: dict[int, list[Annotated]] = {}
    seen: set[int] = set()
    ids = (image.get("id") for image in _entries(path, content, "images"))
    listed = {identity for identity in ids if type(identity) is int}
    for number, entry in enumerate(_entries(path, content, "annotations")):
        identity, image = entry.get("id"), entry.get("image_id")
        where = f"annotation {identity if type(identity) is int else number}"

        def wrong(kind: Kind, what: str, where: str = where) -> None:
            problems.append(Problem(kind, str(path), f"{path}, {where}: {what}"))

        if type(identity) is not int:
            wrong("missing id", "has no id that is a whole number")
            continue
        if identity in seen:
            wrong("duplicate id", "its id is there twice")
            continue
        seen.add(identity)
        if type(image) is not int or image not in listed:
            wrong("missing id", f"image_id {image!r} is no image of the file")
        elif image in images:  # else the image is left out, and named
            key = images[image][0]
            category = entry.get("category_id")
            name = categories.get(category) if type(category) is int else None
            found.setdefault(image, []).append(
                Annotated(
                    f"{where} of {key}", name or f"category_id {category!r}",
                    _box(entry.get("bbox")), crowd=bool(entry.get("iscrowd", 0)),
                )
            )  # fmt: skip
    return found


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON in UTF-8 ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a COCO file: must be an object with images and annotations")
    return content


def _entries(path: Path, content: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = content.get(name)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise UserError(f"{path}: not a COCO file: needs `{name}`, a list of objects")
    return found


def _categories(path: Path, content: Mapping[str, Any]) -> dict[int, str]:
    """Name by id. Raises UserError: without the classes nothing else can be told."""
    found: dict[int, str] = {}
    for number, entry in enumerate(_entries(path, content, "categories")):
        identity, name = entry.get("id"), entry.get("name")
        if type(identity) is not int or not isinstance(name, str) or not name:
            raise UserError(f"{path}, category {number}: needs a number `id` and a `name`")
        if identity in found or name in found.values():
            raise UserError(f"{path}, category {number}: {name} ({identity}) is there twice")
        found[identity] = name
    if not found:
        raise UserError(f"{path}: has no categories")
    return found


def _inside(name: str) -> bool:
    """Whether a path stays in the folder that it is looked for in."""
    path = PurePosixPath(name)
    return bool(path.name) and not path.is_absolute() and ".." not in path.parts


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = image.get("height"), image.get("width")
    if type(height) is int and type(width) is int and min(height, width) > 0:
        return height, width
    return None


def _box(box: Any) -> tuple[float, float, float, float] | None:
    numbers = (
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(side, int | float) and not isinstance(side, bool) for side in box)
    )
    if not numbers:
        return None
    try:
        x, y, width, height = map(float, box)
    except OverflowError:  # a whole number of more than 308 digits
        return None
    return x, y, x + width, y + height
