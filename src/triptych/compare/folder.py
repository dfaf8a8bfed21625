"""A comparison's folder: the plan is written before the first look and does not change after.

COMPARISON/comparison.json   the plan
           extension.json    seeds that were asked for later; what they add is exploratory
           fixed.json        fixed predictions that joined; no part of the plan
           <arm>/seed-N/     a run folder; seed-N.failed.json beside it says why it failed
           <fixed arm>/      its evaluation
           verdict.json
           curves.svg        where runs have curves; drawn by `triptych compare`
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.compare.comparison import Comparison
from triptych.errors import UserError
from triptych.recipe import PLACES, Recipe
from triptych.run import make_folder, read_json, read_result, write_json

PLAN, EXTENSION, VERDICT = "comparison.json", "extension.json", "verdict.json"
TOLD = ("notes", "reach")
"""Fields of a plan on which no verdict depends: they may change."""


def is_comparison(folder: Path) -> bool:
    return (folder / PLAN).is_file()


def cell(folder: Path, arm: str, seed: int) -> Path:
    """The run folder of one arm and seed."""
    return folder / arm / f"seed-{seed}"


def failure(folder: Path, arm: str, seed: int) -> Path:
    """Where it is said why a cell failed."""
    return folder / arm / f"seed-{seed}.failed.json"


Seeds = tuple[int, ...]


def open_folder(folder: Path, comparison: Comparison) -> tuple[Seeds, Seeds]:
    """Write the plan into a new folder, or check that it is this comparison's.

    Returns the plan's seeds, and all seeds: more than a fixed plan had are an extension, which
    stays. Raises UserError where the folder belongs to another comparison (the first thing that
    differs is named) or holds something else.
    """
    ours, theirs = _record(comparison), _plan(folder)
    if theirs is None or (not _begun(folder, theirs) and _but_data(theirs) == _but_data(ours)):
        # Where no cell has begun, a wrong data folder or split can still be mended.
        make_folder(folder)
        write_json(folder / PLAN, ours)
    planned, seeds = look_into(folder, comparison)
    if extended := seeds[len(planned) :]:
        write_json(folder / EXTENSION, {"seeds": list(extended)})
    if theirs is not None and _told(theirs) != _told(ours):
        write_json(folder / PLAN, without_told(theirs) | _told(ours))
    return planned, seeds


def look_into(folder: Path, comparison: Comparison) -> tuple[Seeds, Seeds]:
    """As `open_folder`, and nothing is written; a folder that is not there is an empty one.

    Raises UserError also where a cell is a run of another recipe or seed.
    """
    theirs = _plan(folder)
    if theirs is None:
        return comparison.seeds, comparison.seeds
    _refuse_another(folder, theirs, _record(comparison))
    planned = tuple(theirs["seeds"])
    file = folder / EXTENSION
    extended = tuple(read_json(file)["seeds"]) if file.exists() else ()
    more = tuple(seed for seed in comparison.seeds if seed not in planned + extended)
    for arm, recipe in comparison.recipes():
        ours = _plain(dataclasses.asdict(recipe))
        for seed in planned + extended + more:
            refuse_other_run(cell(folder, arm, seed), ours, seed, _defaults(recipe))
    return planned, planned + extended + more


def _record(comparison: Comparison) -> dict[str, Any]:
    """The plan as its file gives it back."""
    return _plain(comparison.record())


def _plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as a file gives it back: tuples become lists."""
    found: dict[str, Any] = json.loads(json.dumps(dict(record), default=str))
    return found


def _plan(folder: Path) -> dict[str, Any] | None:
    """The plan that lies in a folder; None where it is empty. Raises UserError for strangers."""
    if is_comparison(folder):
        return read_json(folder / PLAN)
    if folder.is_dir():
        strangers = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if is_comparison(folder):
            return read_json(folder / PLAN)  # of another process, begun meanwhile
        if strangers:
            raise UserError(
                f"{folder} is no comparison and not empty (it holds {strangers[0]}); "
                "choose another --out"
            )
    return None


def _begun(folder: Path, plan: dict[str, Any]) -> bool:
    return any((folder / arm).exists() for arm in plan.get("arms", ()))


def without_told(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan without what is told beside it, which may be added later."""
    return {key: value for key, value in plan.items() if key not in TOLD}


def _told(plan: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key in TOLD}


def _but_data(plan: dict[str, Any]) -> dict[str, Any]:
    """A plan without where its data lies."""
    arms = {
        name: {key: value for key, value in arm.items() if key not in ("data", "val_data")}
        for name, arm in plan.get("arms", {}).items()
    }
    return without_told(plan) | {"arms": arms, "data": None, "split": None}


def _refuse_another(folder: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    extends = theirs.get("plan", {}).get("kind") == ours["plan"]["kind"] == "fixed" and ours[
        "seeds"
    ][: len(theirs.get("seeds", []))] == theirs.get("seeds")
    # Scores beside the metric are named before the first look: a plan without them has none.
    theirs, ours = (plan | {"beside": plan.get("beside", [])} for plan in (theirs, ours))
    for key, mine in ours.items():
        if key in TOLD or key not in theirs or (extends and key in ("seeds", "plan")):
            continue  # is no part of it, an older plan does not say, or it may be extended
        old = theirs[key]
        if key == "arms":
            found = _first_difference(old, mine)
            if found is None:
                continue
            key, old, mine = found
        if old != mine:
            raise UserError(
                f"{folder} belongs to another comparison: its {key} is {old}, yours is {mine}; "
                "choose another --out"
            )


def _first_difference(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, Any, Any] | None:
    """Where two sets of arms differ first: what, there, here.

    Where the data lies is no difference: each run knows its data by its content. Neither is a
    field that an older plan does not know.
    """
    if set(old) != set(new):  # in the file they are sorted
        return "arms", ", ".join(old), ", ".join(sorted(new))
    for name, arm in new.items():
        if found := _first_field(old[name], arm):
            field, theirs, value = found
            return f"{name}'s {field}", theirs, value
    return None


def _first_field(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, Any, Any] | None:
    """The first field in which a recipe differs from an older record of one: name, there, here."""
    for field, value in new.items():
        theirs = old.get(field, value)
        if field not in PLACES and theirs != value:
            return field, theirs, value
    return None


def _defaults(recipe: Recipe) -> dict[str, Any]:
    """What the fields of a recipe are where nobody sets them."""
    fields = dataclasses.fields(recipe)
    return _plain({f.name: f.default for f in fields if f.default is not dataclasses.MISSING})


def refuse_other_run(
    place: Path, recipe: Mapping[str, Any], seed: int, otherwise: Mapping[str, Any]
) -> None:
    """Raise UserError where a cell's folder holds a run of another recipe or seed, naming both.

    As of a run's own folder: where its data lies is no difference, and of a field that an older run
    did not know it has what stands in `otherwise`. A cell that does not say it is taken as it is.
    """
    file = place / "recipe.json"
    if not file.exists():
        return
    record = read_json(file)
    theirs = record.get("recipe")
    found = None
    if isinstance(theirs, dict):
        found = _first_field(dict(otherwise) | theirs, recipe)
    if found is None and record.get("seed", seed) != seed:
        found = "seed", record["seed"], seed
    if found is not None:
        field, old, new = found
        raise UserError(
            f"{place} is the folder of another run: its {field} is {old}, here it is {new}; remove "
            "the folder, so that the cell is trained anew, or choose another --out"
        )


def refuse_no_result(file: Path, result: Mapping[str, Any]) -> None:
    """Raise UserError where a cell's `result.json` lacks what a verdict is made of."""
    scores, times = result.get("scores"), result.get("times")
    lacks = {
        "scores": not isinstance(scores, dict) or any(isinstance(v, str) for v in scores.values()),
        "data": not isinstance(result.get("data"), str),
        "diverged": not isinstance(result.get("diverged"), bool),
        "times": not isinstance(times, dict) or not isinstance(times.get("seconds"), int | float),
    }
    if missing := [name for name, lack in lacks.items() if lack]:
        raise UserError(
            f"{file} is no result of a run: its {missing[0]} is missing or not of this program; "
            "restore it, or remove it and the same command trains the cell again"
        )


def cell_state(folder: Path, arm: str, seed: int) -> dict[str, Any]:
    """How far a cell is: `state` is done, failed, begun or missing; a result where it is done.

    Raises UserError where a result is none (`refuse_no_result`).
    """
    place = cell(folder, arm, seed)
    result = read_result(place)
    if result is not None:
        refuse_no_result(place / "result.json", result)
        return {"state": "done", "result": result}
    if (record := failure(folder, arm, seed)).exists():
        why = read_json(record).get("error")
        return {"state": "failed", "error": why or f"{record.name} does not say why"}
    steps = [int(p.name[5:]) for p in place.glob("checkpoints/step-*") if p.name[5:].isdecimal()]
    if steps or (place / "recipe.json").exists():
        return {"state": "begun", "step": max(steps, default=0)}
    return {"state": "missing"}
