"""A table with a row a frame that grows while a video runs, and is there whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

FILE = "frames.csv"


class FrameTable:
    """Rows of `folder/frames.csv`, written aside until `finish`. The folder must be there."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._final, self._part = folder / FILE, folder / f".{FILE}.part"
        self._file = self._part.open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._rows.writerow(columns)

    def add(self, row: Iterable[object]) -> None:
        self._rows.writerow(row)

    def finish(self) -> None:
        self._file.close()
        self._part.replace(self._final)

    def close(self) -> None:
        """Throw away what is not finished; after `finish` nothing is."""
        self._file.close()
        self._part.unlink(missing_ok=True)
