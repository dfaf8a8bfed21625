"""Frames and label files on disk, read as `LabelledData`; each data set says where they lie."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from triptych.data.classes import ClassSet
from triptych.data.labelled import Image, LabelMap
from triptych.errors import UserError

PICTURE_ENDINGS = (".jpg", ".jpeg", ".png")
LABEL_ENDING = ".png"
SUFFIXES = (
    ".avif", ".bmp", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
)  # fmt: skip
"""Endings of the pictures that a model labels where they are no data set."""
_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)


class ColourCoded(UserError):
    """A label file holds colours where class ids are due."""


@dataclass(frozen=True)
class Frame:
    """One picture and its label file."""

    key: str
    group: str
    number: int | None
    """Position in the drive's video, where the file name says it."""
    picture: Path
    label: Path


@dataclass(frozen=True)
class Listing:
    """The files of one split."""

    frames: tuple[Frame, ...]
    unpaired: tuple[Path, ...] = ()
    """Pictures without a label file and label files without a picture."""

    def select(self, keep: Iterable[Frame]) -> Listing:
        return Listing(tuple(keep), self.unpaired)


@dataclass(frozen=True)
class LabelCode:
    """What the values of a label file mean: class ids of the class set, or `VOID`."""

    ids: Mapping[int, int]
    """By value of a single-channel (or palette) file; empty where labels are always colours."""
    colours: Mapping[int, int] = field(default_factory=dict)
    """By colour 0xRRGGBB of an RGB file; empty where labels are never colours."""
    names: Mapping[int, str] = field(default_factory=dict)
    """The data set's own name of a value or colour, where it differs from the class's."""

    @cached_property
    def id_table(self) -> NDArray[np.int16]:
        return _table(self.ids, 2**16)

    @cached_property
    def colour_table(self) -> NDArray[np.int16]:
        return _table(self.colours, 2**24)

    def values(self, path: Path) -> tuple[NDArray[np.int32], bool]:
        """Values (H, W) of a label file as they are stored, and whether they are 0xRRGGBB.

        Raises UserError where the file cannot be read, ColourCoded where it should hold ids.
        """
        image = _open(path)
        if self.ids and image.mode in ("L", "P", "1", "I;16", "I"):
            return np.asarray(image).astype(np.int32), False
        if not self.colours:
            raise ColourCoded(
                f"{path}: colour-coded ({image.mode}), but labels must be single-channel class ids"
            )
        rgb = np.asarray(image.convert("RGB")).astype(np.int32)
        return (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2], True

    def decode(self, path: Path) -> LabelMap:
        """Class ids (H, W) of a label file. Raises UserError naming the file and a bad value."""
        values, coloured = self.values(path)
        table = self.colour_table if coloured else self.id_table
        outside = (values < 0) | (values >= len(table))
        labels = table[np.where(outside, 0, values)]
        unknown = outside | (labels < 0)
        if unknown.any():
            bad = value_text(int(values[unknown][0]), coloured)
            raise UserError(f"{path}: {bad} is not a class of this data set")
        return labels.astype(np.uint8)


def _table(codes: Mapping[int, int], size: int) -> NDArray[np.int16]:
    table = np.full(size, -1, np.int16)
    table[list(codes)] = list(codes.values())
    return table


def value_text(value: int, coloured: bool) -> str:
    """A label value as a person writes it: `id 12` or `colour (64, 0, 192)`."""
    if coloured:
        return f"colour ({value >> 16}, {value >> 8 & 255}, {value & 255})"
    return f"id {value}"


def rgb_code(red: int, green: int, blue: int) -> int:
    """A colour as one number, 0xRRGGBB."""
    return (red << 16) | (green << 8) | blue


def _open(path: Path) -> PillowImage.Image:
    with _told(path):
        image = PillowImage.open(path)
        image.load()
        return image


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Pillow's errors as one line that names the file."""
    try:
        yield
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: cannot be read as a picture ({error})") from error
    except PillowImage.DecompressionBombError as error:
        raise UserError(f"{path}: claims more pixels than a frame can have") from error


def read_picture(path: Path) -> Image:
    """RGB pixels (H, W, 3) of a picture, upright by its EXIF orientation. Raises UserError."""
    image = _open(path)
    if image.mode.startswith(("I", "F")):
        raise UserError(f"{path}: has more than 8 bits a channel; convert it to 8 bits")
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def picture_shape(path: Path) -> tuple[int, int]:
    """Height and width of what `read_picture` gives, from the file's header. Raises UserError."""
    with _told(path), PillowImage.open(path) as image:
        width, height = image.size
        # Of a PNG the whole picture must be decoded to find its orientation.
        turned = width != height and image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
        return (width, height) if turned else (height, width)


class FrameFiles:
    """One split of a data set in files; a `LabelledData`."""

    def __init__(
        self, name: str, split: str, classes: ClassSet, code: LabelCode, frames: Sequence[Frame]
    ) -> None:
        self.name = name
        self.split = split
        self.classes = classes
        self.code = code
        self.frames = tuple(frames)
        self.keys: Sequence[str] = tuple(frame.key for frame in self.frames)
        self.groups: Sequence[str] = tuple(frame.group for frame in self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        """Picture and label map of one frame. Raises UserError naming a file that is broken."""
        frame = self.frames[index]
        picture, labels = read_picture(frame.picture), self.code.decode(frame.label)
        _same_size(frame, labels.shape, picture.shape)
        return picture, labels

    def check(self, index: int) -> tuple[int, int]:
        """Height and width of one frame. Raises UserError as `load` does for all but broken pixels
        of the picture, of which only the header is read."""
        frame = self.frames[index]
        labels = self.code.decode(frame.label)
        _same_size(frame, labels.shape, picture_shape(frame.picture))
        return labels.shape

    def fingerprint(self) -> str:
        """SHA-256 of class names, the meaning of label values, keys and the bytes of all files.

        File names beyond the keys, folders and times do not enter, so a copy has the same one.
        """
        digest = hashlib.sha256()
        codes = (sorted(self.code.ids.items()), sorted(self.code.colours.items()))
        digest.update(repr((self.classes.names, codes)).encode())
        for frame in self.frames:
            digest.update(f"\n{frame.key}\n".encode())
            for path in (frame.picture, frame.label):
                try:
                    digest.update(hashlib.sha256(path.read_bytes()).digest())
                except OSError as error:
                    raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        return digest.hexdigest()


def _same_size(frame: Frame, labels: tuple[int, ...], picture: tuple[int, ...]) -> None:
    if picture[:2] != labels:
        raise UserError(
            f"{frame.label}: {size_text(labels)}, but {frame.picture} is {size_text(picture)}"
        )


def size_text(shape: tuple[int, ...]) -> str:
    """Width x height of an array (H, W, …), as sizes are written on the command line."""
    return f"{shape[1]}x{shape[0]}"


class DataFolder(ABC):
    """A data set in a folder: its class set, its label code, and the files of each split."""

    name: str
    classes: ClassSet
    code: LabelCode

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UserError(f"{root}: no such folder")
        self.root = root

    @abstractmethod
    def splits(self) -> list[str]:
        """The disjoint splits that lie in the folder, `train` first; never empty."""

    def more_splits(self) -> list[str]:
        """Further names that `listing` takes, made from the disjoint splits."""
        return []

    @abstractmethod
    def listing(self, split: str) -> Listing:
        """The files of one split, in key order. Raises UserError for a split that is not there."""

    def open(self, split: str) -> FrameFiles:
        """One split, ready to load. Raises UserError where a picture or a label is missing."""
        listing = self.listing(split)
        if listing.unpaired:
            more = len(listing.unpaired) - 1
            raise UserError(
                f"{listing.unpaired[0]}: has no partner (picture without label, or label without "
                f"picture){f', and {more} more' if more else ''}; `triptych data check --json` "
                "lists all"
            )
        if not listing.frames:
            raise UserError(f"{self.root}: split {split} has no frames")
        return FrameFiles(self.name, split, self.classes, self.code, listing.frames)

    def no_split(self, split: str, wanted: Path | None = None) -> UserError:
        """The error of a split that is not there."""
        place = wanted if wanted is not None else self.root
        there = ", ".join([*self.splits(), *self.more_splits()])
        return UserError(f"{place}: no split {split!r} here; there are: {there}")


def files_by_stem(folder: Path, endings: Sequence[str], suffix: str = "") -> dict[str, Path]:
    """Files under a folder by their path in it without `suffix` and ending, sorted.

    Hidden files are passed over. Raises UserError where two files would have the same stem.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        if not path.stem.endswith(suffix):
            continue
        stem = path.relative_to(folder).with_suffix("").as_posix().removesuffix(suffix)
        if stem in found:
            raise UserError(f"{path}: and {found[stem].name} are two files for one frame")
        found[stem] = path
    return found
