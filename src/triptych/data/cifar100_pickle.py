"""The official Python archive of CIFAR-100, read without unpacking it and without running it.

A pickle is a program. These are Python 2 pickles of a dictionary of plain values and one array, so
the reader here builds plain values and hands out three stand-ins that only remember what they are
given; any other name that a file asks for ends the reading.
"""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from triptych.data.cifar100_names import CLASSES, SIDE, check_labels, check_names
from triptych.data.download import file_sha256
from triptych.data.labelled_images import LabelledImages, unique
from triptych.errors import UserError

ARCHIVE = "cifar-100-python.tar.gz"
FOLDER = "cifar-100-python"
_META = "meta"
T = TypeVar("T")
_MOST_BYTES = 1 << 28
"""The training set takes 2^27.2 bytes; nothing of the archive may be much larger."""


@dataclass(frozen=True)
class Pickles:
    """One official split in the archive, or in the folder that it unpacks to."""

    path: Path
    split: str

    def digest(self) -> str:
        if self.path.is_file():
            return f"{self.split} {file_sha256(self.path)}"
        there = (self.path / name for name in (self.split, _META))
        return f"{self.split} {' '.join(file_sha256(file) for file in there if file.is_file())}"

    def read(self) -> LabelledImages:
        """Raises UserError naming the file that is missing, damaged or not what it should be."""
        files = _unpack(self.path, (self.split, _META))
        name = str(self.path / self.split)
        if self.split not in files:
            raise UserError(f"{name}: is missing")
        table = _table(files[self.split], name)
        pixels, labels = _pixels(table, name), _labels(table, name)
        if len(labels) != len(pixels):
            raise UserError(f"{name}: {len(pixels)} pictures, but {len(labels)} fine_labels")
        keys = _list_of(str, table.get("filenames"))
        if keys is None or len(keys) != len(labels):
            keys = [f"{self.split}-{row:05d}" for row in range(len(labels))]
        classes = CLASSES
        if _META in files:
            meta = str(self.path / _META)
            classes = check_names(_table(files[_META], meta).get("fine_label_names"), meta)
        return LabelledImages("cifar100", self.split, pixels, labels, classes, unique(keys))


def find(root: Path, split: str) -> Pickles | None:
    """The archive or its folder in `root`, or `root` itself where it is that folder."""
    for path in (root / ARCHIVE, root / FOLDER, root):
        if path.is_file() or (path / _META).is_file() or (path / split).is_file():
            return Pickles(path, split)
    return None


def _unpack(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    """Those files of the archive or folder that are there. Nothing is written to disk."""
    try:
        if path.is_dir():
            there = [path / name for name in names if (path / name).is_file()]
            return {file.name: file.read_bytes() for file in there}
        found = {}
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                place = PurePosixPath(member.name)
                if (
                    not (member.isfile() or member.isdir())
                    or place.parts[:1] != (FOLDER,)
                    or ".." in place.parts
                    or member.size > _MOST_BYTES
                ):
                    raise UserError(f"{path}: entry {member.name!r} does not belong in it")
                if place.name in names and (file := tar.extractfile(member)) is not None:
                    found[place.name] = file.read()
        return found
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise UserError(f"{path}: cannot be read ({error}); fetch it again") from error


class _Remembers:
    """Stands for an array or a dtype in a pickle; keeps what it was made with, does nothing."""

    def __init__(self, *made_with: Any) -> None:
        self.made_with = made_with
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _latin1(text: Any, encoding: Any) -> bytes:
    """How Python 3 writes bytes into a pickle that Python 2 can read."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError("bytes in another encoding than latin1")
    return text.encode("latin1")


class _Reader(pickle.Unpickler):
    """Builds plain values, arrays as `_Remembers`; refuses all else."""

    names: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): _Remembers,
        ("numpy._core.multiarray", "_reconstruct"): _Remembers,
        ("numpy", "ndarray"): _Remembers,
        ("numpy", "dtype"): _Remembers,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused")
        return self.names[module, name]


def _table(content: bytes, name: str) -> dict[str, Any]:
    try:
        table = _Reader(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:
        # Broken pickles raise almost anything: IndexError, KeyError, TypeError, MemoryError.
        raise UserError(f"{name}: is not a CIFAR-100 pickle ({error})") from error
    if not isinstance(table, dict):
        raise UserError(f"{name}: is not a CIFAR-100 pickle (a {type(table).__name__})")
    return {str(key, "latin1") if isinstance(key, bytes) else key: table[key] for key in table}


def _pixels(table: dict[str, Any], name: str) -> NDArray[np.uint8]:
    """The pictures (N, 3, 32, 32) of rows of red, green and blue planes."""
    wide = 3 * SIDE * SIDE
    wrong = UserError(f"{name}: `data` must be an array of N x {wide} bytes")
    data = table.get("data")
    if not isinstance(data, _Remembers) or not isinstance(data.state, tuple):
        raise wrong
    match data.state:
        case (
            int(),
            (int(rows), int(columns)),
            _Remembers(made_with=(str(kind), *_)),
            fortran,
            raw,
        ):
            pass
        case _:
            raise wrong
    content = raw.encode("latin1") if isinstance(raw, str) else raw
    if kind != "u1" or columns != wide or fortran or not isinstance(content, bytes):
        raise wrong
    if len(content) != rows * columns:
        raise wrong
    return np.frombuffer(content, np.uint8).reshape(rows, 3, SIDE, SIDE).copy()


def _labels(table: dict[str, Any], name: str) -> NDArray[np.int64]:
    labels = _list_of(int, table.get("fine_labels"))
    if labels is None:
        raise UserError(f"{name}: has no list of whole numbers `fine_labels` (CIFAR-10 has none)")
    try:
        numbers = np.array(labels, np.int64).reshape(len(labels))
    except OverflowError as error:
        raise UserError(f"{name}: fine_labels must be 0 to {len(CLASSES) - 1}") from error
    check_labels(numbers, name)
    return numbers


def _list_of(kind: type[T], values: Any) -> list[T] | None:
    """`values` where it is a list of that kind throughout."""
    alike = isinstance(values, list) and all(isinstance(value, kind) for value in values)
    return values if alike else None
