"""Which pictures of a page's folders are shown: of which runs, which first, under what names."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from triptych.evaluation_folder import MEDIA, evaluations_in
from triptych.report import media
from triptych.report.compact import texts
from triptych.report.gather import Gathered
from triptych.report.privacy import Anonymous


def album_of(found: Gathered, hidden: Anonymous | None) -> media.Album:
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
    whole = [place for place in evaluations_in(run / "evaluations") if (place / MEDIA).is_dir()]
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
