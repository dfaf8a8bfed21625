"""Pictures in files with annotated objects, whatever format they are annotated in.

A format says what it read (`Entry`); here it is held against the pictures, and what is wrong with
it is refused or left out.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.box_problems import (
    Kind,
    Problem,
    findings_of,
    left_out,
    left_out_line,
    refuse,
)
from triptych.data.boxes import Objects, no_objects, objects_digest
from triptych.data.findings import Finding
from triptych.data.frames import picture_shape, read_picture, size_text
from triptych.data.labelled import Image
from triptych.errors import UserError
from triptych.progress import bar

_LOG = logging.getLogger("triptych")

EDGE = 1.0
"""Pixels by which a box may reach over the picture's edge and is only cut: programs differ in where
they count from, and round."""
SPLITS = ("train", "val", "test")
UNSPLIT = "all"
"""The split of a data set that has none."""


@dataclass(frozen=True)
class Annotated:
    """One object as an annotation has it, not checked yet."""

    where: str
    """How a person finds it in its file, such as `object 2`."""
    name: str | None
    """Of its class; None where there is none."""
    box: tuple[float, float, float, float] | None
    """As in `boxes`; None where there are no four numbers."""
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class Entry:
    """One picture and its annotation."""

    key: str
    picture: Path
    file: str
    """Of the annotation."""
    size: tuple[int, int] | None
    """Height and width that the annotation says; None where it says nothing."""
    objects: tuple[Annotated, ...]


@dataclass(frozen=True)
class BoxedPicture:
    """One picture of a data set with its objects, fit to be used."""

    key: str
    picture: Path
    objects: Objects


class BoxedFiles:
    """One split of a data set in files; a `DetectionData`."""

    def __init__(
        self,
        name: str,
        split: str,
        classes: tuple[str, ...],
        pictures: Sequence[BoxedPicture],
        *,
        grouped: bool = True,
        findings: Sequence[Finding] = (),
        left_out: Mapping[str, Mapping[str, Any]] | None = None,
        without: Sequence[str] = (),
    ) -> None:
        self.name, self.split, self.classes = name, split, classes
        self.pictures = tuple(pictures)
        self.keys: Sequence[str] = tuple(each.key for each in self.pictures)
        self.groups = _groups(self.keys) if grouped else None
        self.findings = tuple(findings)
        """What was left out, and what was cut to its picture."""
        self.left_out: Mapping[str, Mapping[str, Any]] = left_out or {}
        """What was left out, for a record: see `box_problems.left_out`."""
        self.without = tuple(without)
        """Keys of the pictures that were left out."""

    def __len__(self) -> int:
        return len(self.pictures)

    def load(self, index: int) -> tuple[Image, Objects]:
        """RGB picture (H, W, 3) and its objects. Raises UserError naming a file that is broken."""
        return read_picture(self.pictures[index].picture), self.pictures[index].objects

    def objects(self, index: int) -> Objects:
        """The objects alone; no file is read."""
        return self.pictures[index].objects

    def fingerprint(self) -> str:
        """SHA-256 of class names, keys, the bytes of the pictures and all objects.

        The format of the annotations, folders and times do not enter.
        """
        digest = hashlib.sha256(repr(self.classes).encode())
        for each in self.pictures:
            digest.update(f"\n{each.key}\n".encode())
            try:
                digest.update(hashlib.sha256(each.picture.read_bytes()).digest())
            except OSError as error:
                raise UserError(f"{each.picture}: cannot be read ({error.strerror})") from error
            digest.update(objects_digest(each.objects))
        return digest.hexdigest()


def _groups(keys: Sequence[str]) -> tuple[str, ...] | None:
    """The sub-folder of every picture where there are several; None where there is one."""
    folders = tuple(key.rpartition("/")[0] for key in keys)
    return folders if len(set(folders)) > 1 else None


@dataclass(frozen=True)
class Reading:
    """What one split's files say, and what is wrong with them."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...] = ()


class BoxedFolder(ABC):
    """A detection data set in files: its classes, and the files of each split."""

    name: str
    classes: tuple[str, ...]
    grouped = True
    """Whether pictures in one sub-folder are a cluster."""

    @abstractmethod
    def splits(self) -> list[str]:
        """The disjoint splits that are there, `train` first; never empty."""

    @abstractmethod
    def read(self, split: str) -> Reading:
        """What the files of a split say. Raises UserError for a split that is not there."""

    def open(self, split: str, strict: bool = True) -> BoxedFiles:
        """One split, ready to load.

        With `strict`, anything wrong with annotations or the headers of pictures raises UserError;
        a picture that is broken further on does when it is loaded. Without, every picture is
        decoded once, what is wrong is left out, which is logged, and `findings` and `left_out` of
        the result tell it.
        """
        pictures, problems = self.examine(split)
        if strict:
            refuse(problems)
        else:
            pictures, broken = _decodable(pictures, f"{self.name} {split}")
            problems += broken
        if not pictures:
            raise UserError(f"{self.name} {split}: has no pictures that can be used")
        findings = findings_of(problems, split)
        for finding in findings:
            if finding.severity == "note":
                _LOG.info("cut: %s", finding.text)
        if line := left_out_line(problems):
            _LOG.warning("%s %s, left out or cut: %s", self.name, split, line)
        return BoxedFiles(
            self.name,
            split,
            self.classes,
            pictures,
            grouped=self.grouped,
            findings=findings,
            left_out=left_out(problems),
            without=[each.key for each in problems if each.key is not None],
        )

    def examine(self, split: str) -> tuple[list[BoxedPicture], list[Problem]]:
        """The usable pictures and objects of a split, and all problems with it.

        Of pictures only the headers are read.
        """
        reading = self.read(split)
        labels = {name: label for label, name in enumerate(self.classes)}
        pictures, problems = [], list(reading.problems)
        for entry in reading.entries:
            try:
                shape = picture_shape(entry.picture)
            except UserError as error:
                problems.append(Problem("unreadable", str(entry.picture), str(error), entry.key))
                continue
            if entry.size is not None and entry.size != shape:
                text = (
                    f"{entry.file}: {size_text(entry.size)}, but {entry.picture} is "
                    f"{size_text(shape)}"
                )
                if entry.size == shape[::-1]:
                    text += " as its EXIF orientation turns it, or is another picture"
                problems.append(Problem("size", entry.file, text, entry.key))
                continue
            objects, wrong = _checked(entry, shape, labels)
            problems += wrong
            pictures.append(BoxedPicture(entry.key, entry.picture, objects))
        return pictures, problems


def _checked(
    entry: Entry, shape: tuple[int, int], labels: dict[str, int]
) -> tuple[Objects, list[Problem]]:
    """The usable objects of a picture (height, width), and what is wrong with the others."""
    good, problems = [], []

    def wrong(kind: Kind, each: Annotated, what: str) -> None:
        text = f"{entry.file}, {each.where}: {what}"
        problems.append(Problem(kind, entry.file, text))

    height, width = shape
    for each in entry.objects:
        if each.name is None or each.name not in labels:
            what = "no class" if each.name is None else f"{each.name!r} is no class of the data set"
            wrong("unknown class", each, what)
            continue
        if each.box is None or not all(map(math.isfinite, each.box)):
            wrong("no number", each, "its box is no four numbers")
            continue
        x1, y1, x2, y2 = each.box
        if not (x2 > x1 and y2 > y1):
            wrong("no area", each, f"a box of {x2 - x1:g}x{y2 - y1:g} pixels")
            continue
        cut = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
        beyond = max(-x1, -y1, x2 - width, y2 - height)
        inside = cut[2] > cut[0] and cut[3] > cut[1]
        if beyond > 0:
            what = (
                f"its box reaches {beyond:g} pixels over the edge of the {width}x{height} picture"
            )
            wrong("over the edge" if beyond <= EDGE and inside else "outside", each, what)
        box = np.array(cut, np.float32)
        if inside and box[2] > box[0] and box[3] > box[1]:
            good.append((box, labels[each.name], each.difficult, each.crowd))
    if not good:
        return no_objects(), problems
    boxes, classes, difficult, crowd = zip(*good, strict=True)
    objects = Objects(
        np.stack(boxes), np.array(classes, np.int64), np.array(difficult), np.array(crowd)
    )
    return objects, problems


def _decodable(
    pictures: Sequence[BoxedPicture], title: str
) -> tuple[list[BoxedPicture], list[Problem]]:
    """The pictures that can be decoded to their end, and those that cannot."""

    def broken(each: BoxedPicture) -> str | None:
        try:
            read_picture(each.picture)
        except UserError as error:
            return str(error)
        return None

    good, problems = [], []
    with (
        bar(title, len(pictures), unit="picture") as shown,
        ThreadPoolExecutor(os.cpu_count(), "decode") as pool,
    ):
        for each, why in zip(pictures, pool.map(broken, pictures), strict=True):
            if why is None:
                good.append(each)
            else:
                problems.append(Problem("unreadable", str(each.picture), why, each.key))
            shown.advance()
    return good, problems
