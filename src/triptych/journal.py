"""A file of events, one line of JSON each: appended to, and cut back when a run is resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Journal:
    """An open journal. A process may be killed at any moment: half a line is no event."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stream = file.open("ab")

    def append(self, event: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(event, sort_keys=True).encode() + b"\n")
        self._stream.flush()

    def flush(self) -> None:
        """Wait until all events are on the disk."""
        os.fsync(self._stream.fileno())

    def length(self) -> int:
        """Bytes."""
        return self.file.stat().st_size

    def truncate(self, length: int) -> None:
        self._stream.truncate(length)
        self._stream.seek(length)

    def close(self) -> None:
        self._stream.close()


def read_events(file: Path) -> tuple[list[dict[str, Any]], int]:
    """The whole events of a journal, and how many bytes they take; none where it is missing."""
    if not file.exists():
        return [], 0
    whole = file.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], len(whole)
