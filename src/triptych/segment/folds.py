"""Leave one drive out: a run that is one training for each drive, scored on all their frames.

The frames of one drive are one cluster, and CamVid's validation split lies between its training
frames; a drive that was never trained on is what says something about the next drive.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych.audit import TESTIMONY
from triptych.data.labelled import LabelledData
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.evaluation_folder import ITEMS, MEDIA, replaced_folder, write_files, writing
from triptych.run import Run, read_json, read_result, write_json
from triptych.segment.joined import with_extra
from triptych.segment.objective import loss_fingerprint
from triptych.segment.preflight import is_begun
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.scores import Item, headline, items_table, read_items, scores_of

FOLDS = "folds"
SPLIT = "folds"
"""What the scored split is called: every frame, by the model that was not trained on its drive."""

TrainOne = Callable[[SegmentRecipe, Path], dict[str, Any]]
Check = Callable[[LabelledData, Sequence[str]], None]


def train_folds(
    recipe: SegmentRecipe,
    seed: int,
    out: Path,
    train_one: TrainOne,
    check: Check,
    runtime: Mapping[str, Any],
) -> dict[str, Any]:
    """Train `recipe` once for each drive by `train_one(recipe, folder)`, each a run of its own.

    They lie in `out/folds/DRIVE`; `out` gets their frames as one evaluation, their testimonies
    summed, and a result of the same form as theirs. Before there is a folder, `check` gets all
    frames, extra data with them, and the drives that are left out in turn, and may raise. Raises
    UserError for data without drives.
    """
    frames = open_data(recipe.data, recipe.train_split)
    drives = drives_of(recipe, frames)
    every = with_extra(frames, recipe.extra_data)
    if not is_begun(out):
        check(every, drives)
    fingerprint = {"all": every.fingerprint()} | loss_fingerprint(recipe)
    with Run.open(out, recipe, seed, fingerprint, runtime) as run:
        if (done := read_result(out)) is not None:
            return done
        run.restart()
        results = {}
        for drive in drives:
            fold = replace(
                recipe, folds="none", train_split=f"not-drive:{drive}", val_split=f"drive:{drive}"
            )
            results[drive] = train_one(fold, out / FOLDS / drive)
        scores = _join_evaluations(out, frames.name, frames.fingerprint(), results)
        shown = headline(scores)
        run.log(sum(r["updates"] for r in results.values()), SPLIT, **shown)
        found = {drive: read_json(out / FOLDS / drive / TESTIMONY) for drive in drives}
        write_json(out / TESTIMONY, sum_of_testimonies(found))
        result = _join_results(recipe, seed, frames.name, shown, results)
        run.finish(result)
        return result


def drives_of(recipe: SegmentRecipe, frames: LabelledData) -> list[str]:
    """The drives to leave out in turn, sorted, whose frames are those of `train_split`.

    Raises UserError where there are fewer than two, where the data has no split for each, or where
    these are of other frames.
    """
    drives = sorted(set(frames.groups))
    where = f"folds=drives: {recipe.data} {recipe.train_split}"
    if recipe.val_data is not None:
        raise UserError("folds=drives scores the data that is trained on: --set val_data=none")
    if len(drives) < 2:
        raise UserError(f"{where} has one drive only ({drives[0]}): --set folds=none")
    try:
        parts = [open_data(recipe.data, f"drive:{drive}") for drive in drives]
    except UserError as error:
        raise UserError(f"{where} cannot be split by drive ({error}): --set folds=none") from None
    if sorted(key for part in parts for key in part.keys) != sorted(frames.keys):
        raise UserError(f"{where} is not all frames of its drives: --set train_split=trainval")
    return drives


def _join_evaluations(
    out: Path, data: str, fingerprint: str, results: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    items: list[Item] = []
    classes: list[str] = []
    folds = []
    for drive, result in results.items():
        name = str(result["data"]).replace(" ", "-")
        folds.append(out / FOLDS / drive / "evaluations" / name)
        of_fold, classes = read_items(folds[-1] / ITEMS)
        items += of_fold
    scores = {
        "model": "leave one drive out",
        "data": data,
        "split": SPLIT,
        "fingerprint": fingerprint,
        **scores_of(items, classes),
    }
    with replaced_folder(out / "evaluations" / f"{data}-{SPLIT}") as part:
        write_files(part, scores, items_table(items, classes))
        with writing(part):
            for fold in folds:
                if (fold / MEDIA).is_dir():
                    shutil.copytree(fold / MEDIA, part / MEDIA, dirs_exist_ok=True)
    return scores


def _join_results(
    recipe: SegmentRecipe,
    seed: int,
    data: str,
    scores: Mapping[str, Any],
    results: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    each = list(results.values())
    seconds = sum(r["times"]["seconds"] for r in each)
    return {
        "recipe": recipe.name,
        "seed": seed,
        "data": f"{data} {SPLIT}",
        "scores": dict(scores),
        "diverged": any(r["diverged"] for r in each),
        "epochs": recipe.epochs,
        "updates": sum(r["updates"] for r in each),
        "samples": sum(r["samples"] for r in each),
        "parameters": each[0]["parameters"],
        "MACs": each[0]["MACs"],
        "training_GFLOP": round(sum(r["training_GFLOP"] for r in each), 1),
        "folds": {drive: dict(r["scores"]) for drive, r in results.items()},
        "times": {
            "seconds": round(seconds, 3),
            **_join_shares([r["times"] for r in each]),
        },
    }


def _join_shares(times: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Seconds in steps of all folds, and the shares of them, see `step_clock.times_of`."""
    # A fold that ended before steps were timed has a share of all its seconds, and only the one.
    steps = [t.get("steps", t["seconds"]) for t in times]
    joined = {"steps": round(sum(steps), 3)}
    for name in ("waiting_for_data", "augmenting"):
        known = [(long, t[name]) for long, t in zip(steps, times, strict=True) if name in t]
        if known:
            whole = max(sum(long for long, _ in known), 1e-9)
            joined[name] = round(sum(long * share for long, share in known) / whole, 4)
    return joined


_SUMMED = (
    "samples", "updates", "strangers_seen", "copies_in_batches", "versions_of_copies",
    "probed_copies", "probed_versions", "probes",
)  # fmt: skip
_OF_ONE_FOLD = ("training_images", "images_seen", "images_seen_by_epoch")
"""The folds share most of their frames, so neither a sum nor one fold's number is of the whole."""

_COPIES = "copies_in_val"


def sum_of_testimonies(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the trainings without each drive did, as one testimony; theirs are kept in `folds`.

    Counts of what was done are summed, ranges are joined. An entry counts as never changed where
    it never changed in any one of them. How many images were seen is told by each fold alone.
    """
    told = list(found.values())
    first = told[0]
    settings = {}
    for name in sorted({name for t in told for name in t["settings"]}):
        # A fold from before a setting was noted does not have it.
        noted = [t["settings"][name] for t in told if name in t["settings"]]
        settings[name] = {
            "first": noted[0]["first"],
            "min": min(values["min"] for values in noted),
            "max": max(values["max"] for values in noted),
            "last": noted[-1]["last"],
        }
    return {
        **{name: value for name, value in first.items() if name not in (*_OF_ONE_FOLD, _COPIES)},
        **{name: sum(t[name] for t in told) for name in _SUMMED},
        "augmented": any(t["augmented"] for t in told),
        "settings": settings,
        "parameters_never_changed": max(t["parameters_never_changed"] for t in told),
        "entries_never_changed": _in_any(told, "entries_never_changed"),
        "parameters_unmoved": max(t.get("parameters_unmoved", 0) for t in told),
        "entries_unmoved": _in_any(told, "entries_unmoved"),
        "buffers_never_changed": _in_any(told, "buffers_never_changed"),
        **_copies(told),
        "folds": {drive: dict(t) for drive, t in found.items()},
    }


def _copies(told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The copies of all folds, each of whose drives is scored once, by the key of a testimony.

    Nothing where a fold ended before copies were counted: the others' sum would not be of all.
    """
    if not all(_COPIES in t for t in told):
        return {}
    names = ("exact", "near", "images")
    return {_COPIES: {name: sum(t[_COPIES][name] for t in told) for name in names}}


def _in_any(told: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return sorted({name for t in told for name in t.get(key, ())})
