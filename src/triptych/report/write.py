"""`triptych report`: from folders to a file, once or again and again while runs go on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from triptych.errors import TriptychError, UserError, WorkFailed
from triptych.report.album import album_of
from triptych.report.exported import export
from triptych.report.gather import Gathered, gather
from triptych.report.html import render, template_digest
from triptych.report.media import Album
from triptych.report.page import Page, build
from triptych.report.privacy import Anonymous

log = logging.getLogger("triptych")

RELOAD = 30
"""Seconds between two writings of a page that is watched, and between its loadings."""


@dataclass(frozen=True)
class Options:
    """How a page is made."""

    anonymous: bool = False
    export: Path | None = None
    reload: int | None = None
    """Seconds after which the page loads itself again."""


def report(places: Sequence[Path], out: Path, options: Options | None = None) -> dict[str, Any]:
    """Write the page of `places` into the file `out`, whole or not at all; returns what it holds.

    Raises UserError where there is nothing to show or `out` is no place for a file, WorkFailed
    where it cannot be written.
    """
    options = options or Options()
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file, such as {out / 'report.html'}")
    hidden = Anonymous.of_this_machine() if options.anonymous else None
    found = gather(places, hidden)
    album = album_of(found, hidden)
    found.store.about.update(_about(found, album, hidden, options))
    page = build(found.store)
    if not page.sections:
        raise UserError(f"there is nothing to report on: {'; '.join(page.problems)}")
    text = render(page, found.store.to_json(), album.data, options.reload)
    written = [str(out)]
    _whole(out, text)
    if options.export is not None:
        written += [str(file) for file in export(page, options.export)]
    return {
        "report": str(out),
        "bytes": len(text.encode()),
        "sections": [section.title for section in page.sections],
        "left_out": page.problems,
        "going_on": page.going_on,
        "files": written,
    }


def watch(
    places: Sequence[Path],
    out: Path,
    options: Options,
    say: Callable[[Mapping[str, Any]], None],
    every: float = RELOAD,
) -> None:
    """Write the page again every so many seconds until all runs have ended or it is stopped; the
    last page does not load itself again. Raises what `report` raises the first time."""
    written = False
    try:
        while True:
            try:
                found = report(places, out, replace(options, export=None))
                written = True
                say(found)
                if not found["going_on"]:
                    return
            except TriptychError as error:
                if not written:
                    raise
                log.warning("%s; trying again", error)
            time.sleep(every)
    finally:
        if written:
            report(places, out, replace(options, reload=None))


def _about(
    found: Gathered, album: Album, hidden: Anonymous | None, options: Options
) -> dict[str, Any]:
    """What a page says of itself."""
    names = {number: str(folder) for number, _, folder in found.folders}
    if hidden is not None:
        names = {number: f"folder {number}" for number in names}
    problems = [*found.problems, *album.problems]
    return {
        "triptych": importlib.metadata.version("triptych"),
        "template": template_digest(),
        "matplotlib": importlib.metadata.version("matplotlib"),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "anonymous": hidden is not None,
        "reload": options.reload,
        "folders": [[number, kind, names[number]] for number, kind, _ in found.folders],
        "problems": problems,
        "media": album.entries,
    }


def _whole(out: Path, text: str) -> None:
    """The file, in one rename."""
    part = out.with_name(f".{out.name}.part-{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(out)
    except OSError as error:
        raise WorkFailed(f"--out {out}: cannot be written ({error.strerror})") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


__all__ = ["RELOAD", "Options", "Page", "report", "watch"]
