"""The folder of an evaluation: scores and what every image contributed, whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from triptych.aside import made
from triptych.data.frames import SUFFIXES
from triptych.errors import UserError, WorkFailed
from triptych.processes import alive

SCORES, ITEMS = "scores.json", "items.parquet"
MEDIA, SHEETS, CAPTIONS = "media", "sheets", "captions.json"
"""The folder of pictures of an evaluation or a run; in it, pictures that stand alone, where the
rest is of frames that other models have too; and what pictures are: file name → text."""
LONGEST_NAME = 100
"""Bytes of a picture's name; file systems allow 255."""
OURS = {SCORES, ITEMS, MEDIA}
"""What an evaluation's folder may hold; a folder with anything else is not replaced."""
_ASIDE = re.compile(r".+\.(part-\d+|replaced)")
"""Names of folders as `replaced_folder` makes them beside an evaluation's."""


def media_name(key: str) -> str:
    """What an image's pictures are called, without ending: its key, as a file name of its own.

    A slash becomes a comma. Where more must change, or a name is long, the start of a digest tells
    it from others.
    """
    path = PurePath(key)
    plain = str(path.with_suffix("") if path.suffix.lower() in SUFFIXES else path)
    name = re.sub(r"[^\w.,-]+", "_", plain.replace("/", ",")).lstrip(".")
    if name.replace(",", "/") == plain and len(name.encode()) <= LONGEST_NAME:
        return name
    short = name.encode()[:LONGEST_NAME].decode(errors="ignore")
    return f"{short}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def is_aside(folder: Path) -> bool:
    """Whether it is no evaluation of its own: in the making, left by a killed one, or replaced."""
    return _ASIDE.fullmatch(folder.name) is not None


def evaluations_in(folder: Path) -> list[Path]:
    """The folders of the whole evaluations that lie in a folder, by name."""
    places = [scores.parent for scores in folder.glob(f"*/{SCORES}")]
    return sorted(place for place in places if not is_aside(place))


def write_files(folder: Path, scores: Mapping[str, Any], items: pa.Table) -> None:
    """Write scores and items into a new folder and flush both. Raises WorkFailed."""
    with writing(folder):
        pq.write_table(items, folder / ITEMS)
        text = json.dumps(scores, indent=2, ensure_ascii=False) + "\n"
        (folder / SCORES).write_text(text, encoding="utf-8")
        for path in (folder / ITEMS, folder / SCORES):
            with path.open("rb") as file:
                os.fsync(file.fileno())


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Around the writing of pictures into `folder`. Raises WorkFailed where that fails."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise WorkFailed(f"{folder}: could not be written ({why})") from error


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `out` when the block ends well.

    The old content goes as a whole or stays as a whole. Raises UserError where `out` cannot be
    written or holds anything that is not an evaluation.
    """
    out = out.absolute()
    part, replaced = (
        out.parent / f"{out.name}{end}" for end in (f".part-{os.getpid()}", ".replaced")
    )
    with ExitStack() as stack:
        try:
            if replaced.is_dir() and not out.exists():
                replaced.rename(out)  # an earlier start was killed between the two renames below
            if out.exists() and not {path.name for path in out.iterdir()} <= OURS:
                raise UserError(
                    f"--out {out}: holds something that is not an evaluation; name another"
                )
            _remove_orphans(out)
            stack.enter_context(made(out.parent))
            part.mkdir()
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror})") from error
        stack.callback(shutil.rmtree, part, ignore_errors=True)
        yield part
        shutil.rmtree(replaced, ignore_errors=True)
        if out.exists():
            out.rename(replaced)
        part.rename(out)
        shutil.rmtree(replaced, ignore_errors=True)


def _remove_orphans(out: Path) -> None:
    """Remove what evaluations into `out` left behind whose processes were killed."""
    for orphan in out.parent.glob(f"{glob.escape(out.name)}.part-*"):
        number = orphan.name.rpartition("-")[2]
        if number.isdecimal() and not alive(int(number)):
            shutil.rmtree(orphan, ignore_errors=True)
