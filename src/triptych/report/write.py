"""`triptych report`: from folders to a file, once or again and again while runs go on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from triptych.errors import TriptychError, UserError, WorkFailed
from triptych.evaluation_folder import MEDIA, SCORES
from triptych.report import media
from triptych.report.compact import texts
from triptych.report.exported import export
from triptych.report.gather import Gathered, gather
from triptych.report.html import render
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
    album = _album(found, hidden)
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
    found: Gathered, album: media.Album, hidden: Anonymous | None, options: Options
) -> dict[str, Any]:
    """What a page says of itself."""
    names = {number: str(folder) for number, _, folder in found.folders}
    if hidden is not None:
        names = {number: f"folder {number}" for number in names}
    problems = [*found.problems, *album.problems]
    return {
        "triptych": importlib.metadata.version("triptych"),
        "matplotlib": importlib.metadata.version("matplotlib"),
        "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "anonymous": hidden is not None,
        "reload": options.reload,
        "folders": [[number, kind, names[number]] for number, kind, _ in found.folders],
        "problems": problems,
        "media": album.entries,
    }


def _album(found: Gathered, hidden: Anonymous | None) -> media.Album:
    """The pictures of all folders; those in which arms differ most first."""
    album = media.Album()
    for number, kind, folder in found.folders:
        try:
            if kind == "predictions":
                media.of_predictions(album, number, folder)
                continue
            arms = _media_folders(kind, folder)
            if arms:
                media.of_runs(album, number, arms, _differing(found, number, folder))
        except (OSError, KeyError, TypeError, ValueError) as error:
            album.problems.append(f"pictures of {folder} were left out: {error}")
    if hidden is not None:
        album.problems[:] = [hidden.text(problem, Path()) for problem in album.problems]
        _hide(album.entries, hidden)
    return album


def _hide(entries: list[dict[str, Any]], hidden: Anonymous) -> None:
    """No names and texts of files on a page for strangers; frames are numbered, as names of files
    that were made of paths show no more where a user's name begins. What is drawn in pictures and
    videos stays."""
    numbers: dict[tuple[str, str], str] = {}
    for entry in entries:
        of = entry["folder"], entry["frame"]
        if not entry.get("alone"):
            entry["frame"] = numbers.setdefault(of, f"picture {len(numbers) + 1}")
        entry["layer"] = hidden.text(entry["layer"], Path())
        entry.pop("caption", None)
        if "models" in entry:
            entry["models"] = [hidden.text(str(model), Path()) for model in entry["models"]]


def _media_folders(kind: str, folder: Path) -> dict[str, list[Path]]:
    """Arm → the `media` folders of its first run that has pictures of an evaluation, else of its
    first that has any."""
    if kind == "comparison":
        runs = [*sorted(folder.glob("*/seed-*")), *(p.parent for p in folder.glob("*/media"))]
        own = [(run.parent.name if run.name.startswith("seed-") else run.name, run) for run in runs]
    else:
        own = [(folder.name, folder)]
    found: dict[str, list[Path]] = {}
    evaluated: set[str] = set()
    for arm, run in own:
        evaluation = _evaluation(run)
        places = [place / MEDIA for place in (evaluation, run) if place is not None]
        there = [place for place in places if place.is_dir()]
        if there and arm not in evaluated and (evaluation or arm not in found):
            found[arm] = there
            evaluated |= {arm} if evaluation else set()
    return found


def _evaluation(run: Path) -> Path | None:
    """The evaluation of a run that has pictures: that of its result, else the first whole one."""
    whole = [
        scores.parent
        for scores in sorted(run.glob(f"evaluations/*/{SCORES}"))
        if (scores.parent / MEDIA).is_dir() and ".part-" not in scores.parent.name
    ]
    try:
        result: Any = json.loads((run / "result.json").read_text(encoding="utf-8"))
        judged = str(result["data"]).replace(" ", "-")
    except (OSError, ValueError, KeyError, TypeError):
        judged = ""
    return next((place for place in whole if place.name == judged), next(iter(whole), None))


def _differing(found: Gathered, number: str, folder: Path) -> list[str]:
    """Frames in which segmentation arms differ most, by the items of their first seeds."""
    import numpy as np

    scores: dict[str, Any] = {}
    keys: list[str] = []
    for name, content in found.store.records.items():
        if not name.startswith(f"{number}/") or not name.endswith("/items.npz"):
            continue
        arm = name.split("/")[1]
        if arm in scores:
            continue
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            if "mIoU" not in arrays:
                return []
            of = [str(key) for key in texts(arrays["keys"])]
            if keys and of != keys:
                return []
            keys, scores[arm] = of, arrays["mIoU"]
    if len(scores) < 2:
        return []
    each = np.nan_to_num(np.stack(list(scores.values())), nan=0.0)
    order = np.argsort(-(each.max(axis=0) - each.min(axis=0)), kind="stable")
    return [keys[index] for index in order[: media.MOST_FRAMES].tolist()]


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
