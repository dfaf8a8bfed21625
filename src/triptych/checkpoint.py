"""A checkpoint: one folder, written aside, flushed and renamed once; nothing is pickled.

step-N/*.safetensors   whatever the state writes
       state.json      the rest of the state, the lengths of the run's journals, and the
                       sha256 of every file
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

RECORD = "state.json"


class Checkpointable(Protocol):
    """What is needed of a training state."""

    step: int

    def write(self, folder: Path) -> dict[str, Any]:
        """Write tensors into `folder`; return what else is to be kept, ready for JSON."""
        ...

    def read(self, folder: Path, counters: dict[str, Any]) -> None: ...


def write_aside(
    aside: Path,
    state: Checkpointable,
    lengths: Mapping[str, int],
    *,
    flushed: bool = True,
    **about: Any,
) -> None:
    """Write the checkpoint of a state, and what is to be known `about` it, into a new folder.

    With `flushed` false it is not waited until it is on the disk.
    """
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir()
    counters = state.write(aside)
    written = sorted(aside.iterdir())
    # Hashing takes about as long as the disk does: both at once.
    with ThreadPoolExecutor(1) as disk:
        waiting = [disk.submit(flush, path) for path in written if flushed]
        files = {path.name: digest(path) for path in written}
        for each in waiting:
            each.result()
    record = {"state": counters, "lengths": dict(lengths), "files": files, **about}
    seal(aside, record, flushed=flushed)


def seal(aside: Path, record: Mapping[str, Any], *, flushed: bool = True) -> None:
    """Write the record of a checkpoint, whose other files are there, and flush it and the folder;
    what is left is to rename it."""
    (aside / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
    if flushed:
        flush(aside / RECORD)
        flush(aside)


def whole_record(checkpoint: Path) -> dict[str, Any] | None:
    """The record of a checkpoint whose files are all as they were written, else None."""
    try:
        record: dict[str, Any] = json.loads((checkpoint / RECORD).read_text())
        whole = all(digest(checkpoint / name) == known for name, known in record["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return record if whole else None


def newest_first(checkpoints: Path) -> list[Path]:
    """The folders `step-N` in a folder, newest first."""
    found = [
        (int(match[1]), path)
        for path in checkpoints.glob("step-*")
        if (match := re.fullmatch(r"step-(\d+)", path.name))
    ]
    return [path for _, path in sorted(found, reverse=True)]


def discard(folder: Path) -> None:
    """Remove a checkpoint such that one removed by half can never be taken for a whole one."""
    aside = folder.with_name(f".{folder.name}.old")
    if aside.exists():
        shutil.rmtree(aside)
    folder.rename(aside)
    shutil.rmtree(aside)


def digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
