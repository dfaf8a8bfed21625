"""A segmentation data set of one's own: pictures, label files of ids or colours, and class names.

    DIR/images/train/…  DIR/labels/train/…     one folder a split (train, val, test)
    DIR/train/images/…  DIR/train/labels/…     the same, the other way round
    DIR/images/…        DIR/labels/…           no splits: all frames, to predict and score on
    DIR/classes.toml or classes.json           what the label values mean

A label file has the stem of its picture and ends in .png; pictures are .jpg, .jpeg or .png. Where
frames lie in subfolders, the subfolder is their drive. `classes.toml` lists the classes:

    [[class]]
    id = 0                     # the value in single-channel (or palette) label files
    name = "road"
    colour = [128, 64, 128]    # for display, and for RGB label files; optional
    [[class]]
    id = 7
    name = "sky dome"
    void = true                # neither trained on nor scored; optional, 255 always is void

The classes that are not void are numbered from 0 in the order of their ids. `classes.json` is
what `triptych predict --save-labels` writes beside label images; it may lie in DIR, in DIR/labels
or in the folders of the splits' label files, and must not contradict `classes.toml`. Without
either, label files hold the 19 train ids of Cityscapes, with 255 for void.
"""

from __future__ import annotations

import colorsys
import re
import tomllib
from pathlib import Path
from typing import Any

from triptych.data import class_record
from triptych.data.cityscapes import TRAIN_IDS
from triptych.data.classes import CITYSCAPES, VOID, ClassSet
from triptych.data.frames import (
    LABEL_ENDING,
    PICTURE_ENDINGS,
    DataFolder,
    Frame,
    LabelCode,
    Listing,
    files_by_stem,
    rgb_code,
)
from triptych.errors import UserError

SPLITS = ("train", "val", "test")
UNSPLIT = "all"


class LabelFolder(DataFolder):
    """A data set in the layout of this module's docstring. Raises UserError where it is not."""

    name = "folder"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        if not self.splits():
            raise UserError(f"{root}: has no images/ with labels/ beside it")
        listed = root / "classes.toml"
        recorded = self._recorded()
        if listed.is_file():
            self.classes, self.code = read_classes(listed)
            if recorded is not None:
                _refuse_contradiction(listed, self.classes, self.code, *recorded)
        elif recorded is not None:
            self.classes = recorded[1]
            self.code = class_record.code_of(self.classes)
        else:
            self.classes, self.code = CITYSCAPES, TRAIN_IDS

    def splits(self) -> list[str]:
        found = [split for split in SPLITS if any(p.is_dir() for p in self._pictures(split))]
        unsplit = [UNSPLIT] if (self.root / "images").is_dir() else []
        return found or unsplit

    def _pictures(self, split: str) -> tuple[Path, Path]:
        return self.root / "images" / split, self.root / split / "images"

    def _folders(self, split: str) -> tuple[Path, Path]:
        """Where pictures and label files of a split of `splits()` lie."""
        if split == UNSPLIT:
            return self.root / "images", self.root / "labels"
        inner, outer = self._pictures(split)
        if inner.is_dir():
            return inner, self.root / "labels" / split
        return outer, outer.parent / "labels"

    def _recorded(self) -> tuple[Path, ClassSet] | None:
        """The `classes.json` that counts and its classes, where there is one.

        Raises UserError where two name other classes, or where the labels of one split have one
        and those of another have none: what their ids mean would be a guess.
        """
        whole = [self.root, self.root / "labels"]
        splits = [self._folders(split)[1] for split in self.splits()]
        found = {
            place: class_record.read_classes(place)
            for place in dict.fromkeys([*whole, *splits])
            if (place / class_record.CLASSES).is_file()
        }
        if not found:
            return None
        first, *others = found
        for place in others:
            if found[place].names != found[first].names:
                raise UserError(
                    f"{place / class_record.CLASSES}: names other classes "
                    f"({found[place].name}) than {first / class_record.CLASSES} "
                    f"({found[first].name}); all splits must have the same"
                )
        silent = [place for place in splits if place.is_dir() and place not in found]
        if silent and first not in whole and not (self.root / "classes.toml").is_file():
            raise UserError(
                f"{silent[0]}: has no {class_record.CLASSES}, but {first} has one; put one into "
                f"{self.root} if it is true of all splits"
            )
        return first / class_record.CLASSES, found[first]

    def listing(self, split: str) -> Listing:
        there = self.splits()
        if there == [UNSPLIT] and split in (UNSPLIT, "val", "test"):
            split = UNSPLIT
        elif split not in there:
            raise self.no_split(split)
        pictures, labels = self._folders(split)
        if not labels.is_dir():
            raise UserError(f"{labels}: no such folder, but {pictures} needs its labels there")
        by_picture = files_by_stem(pictures, PICTURE_ENDINGS)
        by_label = files_by_stem(labels, (LABEL_ENDING,))
        frames = tuple(
            Frame(key, *_drive_and_number(key), by_picture[key], by_label[key])
            for key in sorted(by_picture.keys() & by_label.keys())
        )
        lonely = sorted(by_picture.keys() ^ by_label.keys())
        return Listing(frames, tuple(by_picture.get(key) or by_label[key] for key in lonely))


def _refuse_contradiction(
    listed: Path, classes: ClassSet, code: LabelCode, record: Path, recorded: ClassSet
) -> None:
    ids = [code.ids.get(number) for number in range(len(recorded))]
    if classes.names != recorded.names or ids != list(range(len(recorded))):
        raise UserError(
            f"{record}: its classes ({recorded.name}: ids 0 to {len(recorded) - 1}, "
            f"{', '.join(recorded.names[:3])}{', …' if len(recorded) > 3 else ''}) are not those "
            f"of {listed}; remove the one that is wrong"
        )


def _drive_and_number(key: str) -> tuple[str, int | None]:
    drive, _, stem = key.rpartition("/")
    digits = re.search(r"(\d+)$", stem)
    return drive or UNSPLIT, int(digits.group(1)) if digits else None


def read_classes(path: Path) -> tuple[ClassSet, LabelCode]:
    """Class set and label code of a `classes.toml`. Raises UserError naming what is wrong in it."""
    entries = read_entries(path, ("id", "name", "colour", "void"))
    seen: dict[int, dict[str, Any]] = {}
    for entry in entries:
        value, name = entry.get("id"), entry.get("name")
        if type(value) is not int or not 0 <= value < 2**16:
            raise UserError(f"{path}: every class needs an `id` from 0 to 65535, not {value!r}")
        if not isinstance(name, str) or not name:
            raise UserError(f"{path}: class {value} needs a `name`")
        if value in seen or any(name == other["name"] for other in seen.values()):
            raise UserError(f"{path}: class {value} ({name}) is listed twice")
        seen[value] = {**entry, "colour": _colour(path, entry)}
    scored = [seen[value] for value in sorted(seen) if not seen[value].get("void", False)]
    if not 0 < len(scored) < VOID:
        raise UserError(f"{path}: needs 1 to {VOID - 1} classes that are not void")
    numbers = {entry["id"]: number for number, entry in enumerate(scored)}
    meaning = {value: numbers.get(value, VOID) for value in seen}
    colours = [entry["colour"] for entry in seen.values() if entry["colour"]]
    if len(set(colours)) < len(colours):
        raise UserError(f"{path}: two classes have the same colour")
    classes = ClassSet(
        path.parent.resolve().name,
        tuple(entry["name"] for entry in scored),
        tuple(entry["colour"] or _spread(number) for number, entry in enumerate(scored)),
    )
    return classes, LabelCode(
        ids={VOID: VOID, **meaning},
        colours={rgb_code(*e["colour"]): meaning[e["id"]] for e in seen.values() if e["colour"]},
        names={value: entry["name"] for value, entry in seen.items()},
    )


def read_entries(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """The `[[class]]` tables of a TOML file; UserError where it has none or other fields."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not TOML ({error})") from error
    entries = document.get("class")
    if not isinstance(entries, list) or not entries or set(document) != {"class"}:
        raise UserError(f"{path}: must hold a list of [[class]] tables and nothing else")
    for entry in entries:
        wrong = sorted(set(entry) - set(fields))
        if wrong:
            raise UserError(f"{path}: unknown field {wrong[0]!r}; there are {', '.join(fields)}")
        if not isinstance(entry.get("void", False), bool):
            raise UserError(f"{path}: `void` must be true or false, not {entry['void']!r}")
    return entries


def _colour(path: Path, entry: dict[str, Any]) -> tuple[int, int, int] | None:
    colour = entry.get("colour")
    if colour is None:
        return None
    if (
        not isinstance(colour, list)
        or len(colour) != 3
        or not all(type(part) is int and 0 <= part <= 255 for part in colour)
    ):
        raise UserError(f"{path}: `colour` must be three numbers from 0 to 255, not {colour!r}")
    return colour[0], colour[1], colour[2]


def _spread(number: int) -> tuple[int, int, int]:
    """A colour that differs from its neighbours': hues a golden angle apart."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.7, 0.9)
    return int(red * 255), int(green * 255), int(blue * 255)
