"""A detection data set of one's own with an XML file in VOC's form for every picture.

    DIR/JPEGImages/…  DIR/Annotations/…  DIR/ImageSets/Main/train.txt, val.txt, …
    DIR/train/a.jpg   DIR/train/a.xml    one folder a split (train, val or valid, test)
    DIR/a.jpg         DIR/a.xml          no splits: all pictures, as split `all`

An XML file has the stem of its picture. Without ImageSets the first form has no splits either. In
the others pictures may lie in sub-folders, whose pictures then count as a cluster. `classes.json`
in DIR lists the names of the classes by label, as a list or under `names`; without it the classes
are the names that occur in any split, sorted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from triptych.data.box_problems import Problem
from triptych.data.boxed_files import SPLITS, UNSPLIT, BoxedFolder, Entry, Reading
from triptych.data.frames import PICTURE_ENDINGS, files_by_stem
from triptych.data.voc_xml import read_voc_xml
from triptych.errors import UserError

CLASSES = "classes.json"
TRAINVAL = "trainval"
"""The list that VOC has of what is in train and in val."""
_SECOND_COLUMN = re.compile(r"\s+(?:-1|0|1)$")
"""In VOC's lists of one class: whether a picture shows it, 0 where it is hard to tell."""
_FOLDERS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}


class VOCFolder(BoxedFolder):
    """A data set in the layout of this module's docstring. Raises UserError where it is not."""

    name = "vocxml"

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder")
        self.root = root
        self.devkit = (root / "Annotations").is_dir()
        self._readings: dict[str, Reading] = {}
        self.classes = self._classes()

    def splits(self) -> list[str]:
        if self.devkit:
            return disjoint(image_sets(self.root)) or [UNSPLIT]
        return [split for split in SPLITS if self._folder(split)] or [UNSPLIT]

    def _folder(self, split: str) -> Path | None:
        places = (self.root / name for name in _FOLDERS.get(split, ()))
        return next((place for place in places if place.is_dir()), None)

    def read(self, split: str) -> Reading:
        there = [*self.splits(), *(image_sets(self.root) if self.devkit else [])]
        if split not in there:
            names = ", ".join(dict.fromkeys(there))
            raise UserError(f"{self.root}: no split {split!r} here; there are: {names}")
        if split not in self._readings:
            self._readings[split] = self._read(split)
        return self._readings[split]

    def _read(self, split: str) -> Reading:
        if self.devkit and split == UNSPLIT:
            return read_beside(self.root / "JPEGImages", self.root / "Annotations")
        if self.devkit:
            return read_stems(self.root, split)
        place = self._folder(split) or self.root
        return read_beside(place, place)

    def _classes(self) -> tuple[str, ...]:
        listed = self.root / CLASSES
        if listed.is_file():
            return read_class_names(listed)
        names = {
            each.name
            for split in self.splits()
            for entry in self.read(split).entries
            for each in entry.objects
            if each.name is not None
        }
        if not names:
            raise UserError(f"{self.root}: no annotation here names an object (VOC's XML)")
        return tuple(sorted(names))


def image_sets(folder: Path) -> list[str]:
    """Names of the splits in `ImageSets/Main`, train, val and test first.

    The lists of single classes beside them (`car_train.txt`) are no splits.
    """
    names = sorted(path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt"))
    wholes = [name for name in names if "_" not in name or name.partition("_")[2] not in names]
    return [split for split in SPLITS if split in wholes] + [n for n in wholes if n not in SPLITS]


def disjoint(there: Sequence[str]) -> list[str]:
    """Of the splits that ImageSets lists, those that together hold every picture once.

    Train, val and test, where there are any; with trainval in place of train and val unless both
    are there, since what it has more than the one is in no other list. Else all that is listed.
    """
    if TRAINVAL in there and not {"train", "val"} <= set(there):
        return [TRAINVAL, *(split for split in ("test",) if split in there)]
    return [split for split in SPLITS if split in there] or list(there)


def read_stems(folder: Path, split: str) -> Reading:
    """The pictures that `ImageSets/Main/SPLIT.txt` names, in its order.

    A line is a picture's stem, which may have spaces. Lists of one class have a second column
    (-1, 0 or 1), which is cut off where no picture is called as the whole line.
    """
    listed = folder / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{listed}: cannot be read ({error})") from error
    pictures = _by_stem(folder / "JPEGImages", PICTURE_ENDINGS)
    annotations = _by_stem(folder / "Annotations", (".xml",))
    stems: dict[str, int] = {}
    twice = []
    for number, line in enumerate(lines, 1):
        stem = line.strip()
        if stem not in pictures and stem not in annotations:
            stem = _SECOND_COLUMN.sub("", stem)
        if stem in stems:
            text = f"{listed}, line {number}: {stem} is there twice"
            twice.append(Problem("duplicate id", str(listed), text))
        elif stem:
            stems[stem] = number
    files = (
        (
            stem,
            pictures.get(stem, folder / "JPEGImages" / f"{stem}{PICTURE_ENDINGS[0]}"),
            annotations.get(stem, folder / "Annotations" / f"{stem}.xml"),
        )
        for stem in stems
    )
    return _paired(files, twice)


def _by_stem(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """Files under a folder by their path in it without the ending, whose letters may be capitals.

    Of several for one stem, that with the first of the endings.
    """
    found = [path for path in folder.rglob("*") if path.suffix.lower() in endings]
    found.sort(key=lambda path: (endings.index(path.suffix.lower()), path), reverse=True)
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in found}


def read_beside(pictures: Path, annotations: Path) -> Reading:
    """All pictures and XML files under two folders, which may be the same, by their stems."""
    if not pictures.is_dir():
        raise UserError(f"{pictures}: no such folder")
    there = files_by_stem(pictures, PICTURE_ENDINGS)
    written = files_by_stem(annotations, (".xml",))
    stems = sorted(there.keys() | written.keys())
    return _paired(
        (
            stem,
            there.get(stem, pictures / f"{stem}{PICTURE_ENDINGS[0]}"),
            written.get(stem, annotations / f"{stem}.xml"),
        )
        for stem in stems
    )


def _paired(files: Iterable[tuple[str, Path, Path]], problems: Iterable[Problem] = ()) -> Reading:
    """From (stem, picture, annotation) of every picture, whether the files are there or not."""
    entries, wrong = [], list(problems)
    for stem, picture, annotation in files:
        if not picture.is_file():
            text = f"{picture}: no such picture"
            wrong.append(Problem("no picture", str(annotation), text, stem))
        elif not annotation.is_file():
            text = f"{picture}: has no {annotation}"
            wrong.append(Problem("no annotation", str(picture), text, stem))
        else:
            try:
                size, objects = read_voc_xml(annotation)
            except UserError as error:
                wrong.append(Problem("unreadable", str(annotation), str(error), stem))
            else:
                entries.append(Entry(stem, picture, str(annotation), size, objects))
    return Reading(tuple(entries), tuple(wrong))


def read_class_names(path: Path) -> tuple[str, ...]:
    """The names in a `classes.json`: a list, or a record with `names`. Raises UserError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    names = found.get("names") if isinstance(found, dict) else found
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(name, str) and name for name in names)
        or len(set(names)) < len(names)
    ):
        raise UserError(f"{path}: must list the names of the classes, each once")
    return tuple(names)
