"""A comparison's folder: the plan is written before the first look and does not change after.

COMPARISON/comparison.json   the plan
           extension.json    seeds that were asked for later; what they add is exploratory
           <arm>/seed-N/     a run folder; seed-N.failed.json beside it says why it failed
           verdict.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from triptych.compare.comparison import Comparison
from triptych.errors import UserError
from triptych.run import make_folder, read_json, read_result, write_json

PLAN, EXTENSION, VERDICT = "comparison.json", "extension.json", "verdict.json"


def is_comparison(folder: Path) -> bool:
    return (folder / PLAN).is_file()


def cell(folder: Path, arm: str, seed: int) -> Path:
    """The run folder of one arm and seed."""
    return folder / arm / f"seed-{seed}"


def failure(folder: Path, arm: str, seed: int) -> Path:
    """Where it is said why a cell failed."""
    return folder / arm / f"seed-{seed}.failed.json"


def open_folder(folder: Path, comparison: Comparison) -> tuple[int, ...]:
    """Write the plan into a new folder, or check that it is this comparison's; returns all seeds.

    More seeds than a fixed plan had are an extension. Raises UserError where the folder belongs
    to another comparison (the first thing that differs is named) or holds something else.
    """
    ours: dict[str, Any] = json.loads(json.dumps(comparison.record(), default=str))
    file = folder / PLAN
    if not file.exists():
        make_folder(folder)
        strangers = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        if strangers:
            raise UserError(
                f"{folder} is no comparison and not empty (it holds {strangers[0]}); "
                "choose another --out"
            )
        write_json(file, ours)
    theirs = read_json(file)
    planned = tuple(theirs.get("seeds", ()))
    _refuse_another(folder, theirs, ours)
    extended = _extension(folder)
    more = tuple(seed for seed in comparison.seeds if seed not in planned + extended)
    if more:
        extended += more
        write_json(folder / EXTENSION, {"seeds": list(extended)})
    return planned + extended


def planned_seeds(folder: Path) -> tuple[int, ...]:
    """The seeds of the plan, without any extension."""
    return tuple(read_json(folder / PLAN)["seeds"])


def _extension(folder: Path) -> tuple[int, ...]:
    file = folder / EXTENSION
    return tuple(read_json(file)["seeds"]) if file.exists() else ()


def _refuse_another(folder: Path, theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    extends = theirs.get("plan", {}).get("kind") == ours["plan"]["kind"] == "fixed" and ours[
        "seeds"
    ][: len(theirs.get("seeds", []))] == theirs.get("seeds")
    for key, mine in ours.items():
        if extends and key in ("seeds", "plan"):
            continue
        old = theirs.get(key)
        if old == mine:
            continue
        if key == "arms" and isinstance(old, dict):
            key, old, mine = _first_difference(old, mine)
        raise UserError(
            f"{folder} belongs to another comparison: its {key} is {old}, yours is {mine}; "
            "choose another --out"
        )


def _first_difference(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, Any, Any]:
    """Where two sets of arms differ first: what, there, here."""
    if list(old) != list(new):
        return "arms", ", ".join(old), ", ".join(new)
    for name, arm in new.items():
        for field, value in arm.items():
            if old[name].get(field) != value:
                return f"{name}'s {field}", old[name].get(field), value
    return "arms", old, new


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
