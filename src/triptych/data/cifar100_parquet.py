"""CIFAR-100 as Hugging Face parquet shards: encoded pictures in `img`, labels in `fine_label`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from triptych.data.cifar100_names import CLASSES, SIDE, check_labels, check_names
from triptych.data.download import file_sha256
from triptych.data.image_reading import read_rgb
from triptych.data.labelled_images import LabelledImages, unique
from triptych.errors import UserError
from triptych.progress import bar

NAMES = "fine_label_names.txt"
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.parquet$")


@dataclass(frozen=True)
class Shards:
    """The shards of one official split, in order."""

    paths: tuple[Path, ...]
    split: str

    @property
    def names(self) -> Path:
        return self.paths[0].with_name(NAMES)

    def digest(self) -> str:
        files = [*self.paths, *([self.names] if self.names.is_file() else [])]
        return f"{self.split} {' '.join(file_sha256(file) for file in files)}"

    def read(self) -> LabelledImages:
        """Decode every picture, about 12,000 a second. Raises UserError with file and row.

        One thread: Pillow holds the interpreter while it decodes pictures of this size, and two
        threads were slower than one.
        """
        classes = CLASSES
        if self.names.is_file():
            lines = self.names.read_bytes().decode("utf-8", "replace").split("\n")
            classes = check_names([line.strip() for line in lines if line.strip()], str(self.names))
        pixels, labels = [], []
        keys: list[str] = []
        for path in self.paths:
            table = _read(path)
            labels.append(_labels(table, path))
            shard = np.empty((len(table), 3, SIDE, SIDE), np.uint8)
            rows = table.column("img").to_pylist()
            with bar(path.name, len(rows), unit="pictures") as progress:
                for row, entry in enumerate(rows):
                    shard[row] = _decode(entry["bytes"], f"{path}: row {row}")
                    keys.append(entry.get("path") or f"{self.split}-{len(keys):05d}")
                    progress.advance()
            pixels.append(shard)
        return LabelledImages(
            "cifar100", self.split, np.concatenate(pixels), np.concatenate(labels), classes,
            unique(keys),
        )  # fmt: skip


def find(root: Path, split: str) -> Shards | None:
    """The shards of a split in `root`. Raises UserError naming those that are missing."""
    paths = sorted(root.glob(f"{split}-*.parquet"))
    if not paths:
        return None
    numbered = [match for path in paths if (match := _SHARD.search(path.name))]
    totals = {int(match[2]) for match in numbered}
    if len(totals) > 1 or (numbered and len(numbered) < len(paths)):
        raise UserError(f"{root}: {split}-*.parquet are shards of several sets, keep one of them")
    for total in totals:
        there = {int(match[1]) for match in numbered}
        lacking = sorted(set(range(total)) - there)
        if lacking:
            names = ", ".join(f"{split}-{index:05d}-of-{total:05d}.parquet" for index in lacking)
            raise UserError(f"{root}: {names} missing, CIFAR-100's {split} set is not whole")
        if len(there) > total or len(there) < len(paths):
            raise UserError(f"{root}: more than {total} shards {split}-*-of-{total:05d}.parquet")
    return Shards(tuple(paths), split)


def _read(path: Path) -> pa.Table:
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        for column in ("img", "fine_label"):
            if column not in schema.names:
                raise UserError(
                    f"{path}: has no column {column!r} (there are {', '.join(schema.names)})"
                )
        kind = schema.field("img").type
        if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
            raise UserError(f"{path}: column 'img' must be a struct with `bytes`, not {kind}")
        if not pa.types.is_integer(schema.field("fine_label").type):
            raise UserError(f"{path}: column 'fine_label' must hold whole numbers")
        return file.read(columns=["img", "fine_label"])
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as parquet ({reason}); fetch it again") from error


def _labels(table: pa.Table, path: Path) -> NDArray[np.int64]:
    column = table.column("fine_label").combine_chunks()
    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise UserError(f"{path}: row {row} has no fine_label")
    try:
        labels = column.cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: fine_label out of range ({error})") from error
    check_labels(labels, str(path))
    return np.asarray(labels, np.int64)


def _decode(content: object, name: str) -> NDArray[np.uint8]:
    """The picture (3, 32, 32) in a row. Raises UserError with the row's name."""
    if not isinstance(content, bytes):
        raise UserError(f"{name} has no picture")
    picture = read_rgb(content, name)
    if picture.shape != (SIDE, SIDE, 3):
        high, wide = picture.shape[:2]
        raise UserError(f"{name} is {wide}x{high}, but pictures of CIFAR-100 are {SIDE}x{SIDE}")
    return picture.transpose(2, 0, 1)
