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

import json
from pathlib import Path
from typing import Any

from triptych.compare.comparison import Comparison
from triptych.errors import UserError
from triptych.recipe import PLACES
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
    """As `open_folder`, and nothing is written; a folder that is not there is an empty one."""
    theirs = _plan(folder)
    if theirs is None:
        return comparison.seeds, comparison.seeds
    _refuse_another(folder, theirs, _record(comparison))
    planned = tuple(theirs["seeds"])
    file = folder / EXTENSION
    extended = tuple(read_json(file)["seeds"]) if file.exists() else ()
    more = tuple(seed for seed in comparison.seeds if seed not in planned + extended)
    return planned, planned + extended + more


def _record(comparison: Comparison) -> dict[str, Any]:
    """The plan as its file gives it back."""
    plan: dict[str, Any] = json.loads(json.dumps(comparison.record(), default=str))
    return plan


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
        for field, value in arm.items():
            theirs = old[name].get(field, value)
            if field not in PLACES and theirs != value:
                return f"{name}'s {field}", theirs, value
    return None


def cell_state(folder: Path, arm: str, seed: int) -> dict[str, Any]:
    """How far a cell is: `state` is done, failed, begun or missing; a result where it is done."""
    place = cell(folder, arm, seed)
    result = read_result(place)
    if result is not None:
        return {"state": "done", "result": result}
    if (record := failure(folder, arm, seed)).exists():
        return {"state": "failed", "error": read_json(record)["error"]}
    steps = [int(p.name[5:]) for p in place.glob("checkpoints/step-*") if p.name[5:].isdecimal()]
    if steps or (place / "recipe.json").exists():
        return {"state": "begun", "step": max(steps, default=0)}
    return {"state": "missing"}
