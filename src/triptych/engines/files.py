"""Folders that travel as the bytes of their files, to machines that share no disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.checkpoint import flush

Files = Mapping[str, NDArray[np.uint8]]
"""The bytes of files by their paths in a folder. Arrays lie in the object store without a copy."""


def pack(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """All files of a folder but hidden ones, such as locks and what is half written."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = np.fromfile(path, np.uint8)
    return found


def unpack(files: Files, folder: Path) -> None:
    """Write files into a new folder."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        content.tofile(folder / name)


def replace_folder(folder: Path, files: Files) -> None:
    """Write files aside, onto the disk, and put them in a folder's place at once.

    What is there before is kept until then, and comes back by `recover` after a kill in between.
    """
    aside, old = _beside(folder)
    for each in (aside, old):
        if each.exists():
            shutil.rmtree(each)
    unpack(files, aside)
    for path in aside.rglob("*"):
        flush(path)
    if folder.exists():
        folder.rename(old)
    aside.rename(folder)
    flush(folder.parent)
    if old.exists():
        shutil.rmtree(old)


def recover(folder: Path) -> None:
    """Bring a folder back whose replacing was killed half way."""
    _, old = _beside(folder)
    if old.exists() and not folder.exists():
        old.rename(folder)


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")
