"""Folders to work in aside, and none left behind by what failed."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from triptych.processes import alive


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A new hidden folder beside `target`, for what takes its place; it goes when the block ends.

    What processes left there that were killed goes first. Raises OSError.
    """
    for orphan in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        number = orphan.name.split(".")[-2]
        # Nobody else has our number now: such a folder is of a process that had it before.
        if number.isdecimal() and (int(number) == os.getpid() or not alive(int(number))):
            shutil.rmtree(orphan, ignore_errors=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """`folder` is there inside the block; where that fails, what was made for it and is empty goes.

    Raises OSError where it cannot be made.
    """
    missing = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        _remove_empty(missing)
        raise


def check_writable(folder: Path) -> None:
    """Raise OSError where no file can be written into `folder`, made for it. Leaves nothing."""
    missing = _missing(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    finally:
        _remove_empty(missing)


def _missing(folder: Path) -> list[Path]:
    """Which of the folder and those above it are not there, the innermost first."""
    folder = folder.absolute()
    return [each for each in (folder, *folder.parents) if not each.exists()]


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # not empty, or never made
            folder.rmdir()
