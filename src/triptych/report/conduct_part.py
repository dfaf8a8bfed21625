"""How a comparison was done: what its arms differ in, audit, cost, commands, environment."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from triptych.compare.folder import PLAN, cell
from triptych.errors import UserError
from triptych.report import sentences
from triptych.report.blocks import Commands, Section, Sentences, Tabular, tabular
from triptych.report.tables import Verdict, arms_of, audit_table, is_fixed
from triptych.report.words import count, differing
from triptych.run import read_json


def record_in(file: Path) -> dict[str, Any]:
    try:
        return read_json(file) if file.exists() else {}
    except UserError:
        return {}


def add_conduct(section: Section, folder: Path, verdict: Verdict) -> None:
    """What the arms differ in, what the audit found, what it cost, how to repeat it, on what."""
    part = section.part("conduct", "How it was done")
    part.add(
        _differences(folder, verdict),
        Tabular("audit", "Audit", audit_table(verdict)) if verdict["audit"] else None,
        _cost(folder, verdict),
    )
    runtimes, fingerprints = [], []
    for arm in arms_of(verdict):
        for seed in sorted(verdict["arms"][arm].get("states", {}), key=int):
            place = cell(folder, arm, int(seed))
            if runtime := record_in(place / "runtime.json"):
                runtimes.append(runtime)
            if recipe := record_in(place / "recipe.json"):
                fingerprints.append(dict(recipe.get("fingerprint", {})))
    add_repeat(part, runtimes, fingerprints)


def add_repeat(
    part: Section, runtimes: Sequence[dict[str, Any]], fingerprints: Sequence[dict[str, str]]
) -> None:
    """Commands and environment, each once."""
    commands = list(dict.fromkeys(_command(r["command"]) for r in runtimes if r.get("command")))
    machines = [{k: v for k, v in r.items() if k != "command"} for r in runtimes]
    lines = sentences.machine_lines(_once(machines), _once([f for f in fingerprints if f]))
    part.add(
        Commands("commands", "To repeat it", tuple(commands)) if commands else None,
        Sentences("environment", tuple(lines), "list", "Environment and data") if lines else None,
    )


def _command(words: Sequence[str]) -> str:
    first = "python -m triptych" if str(words[0]).endswith("__main__.py") else "triptych"
    return " ".join([first, *(shlex.quote(str(word)) for word in words[1:])])


def _once(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [record for index, record in enumerate(records) if record not in records[:index]]


def _differences(folder: Path, verdict: Verdict) -> Tabular | None:
    """Fields in which the recipes differ, a column an arm."""
    if is_fixed(verdict):
        return None
    arms = record_in(folder / PLAN).get("arms", {})
    names = [name for name in arms_of(verdict) if name in arms]
    fields = dict.fromkeys(field for name in names for field in arms[name] if field != "name")
    rows = [
        (field, *(_shown(arms[name].get(field)) for name in names))
        for field in fields
        if len({repr(arms[name].get(field)) for name in names}) > 1
    ]
    if not rows:
        pairs = [(f"{p['arm']} against {p['baseline']}", differing(p["differs"]))
                 for p in verdict["pairs"] if p.get("differs")]  # fmt: skip
        return tabular("differs", "What the arms differ in", ("pair", "baseline → arm"), pairs)
    note = "All other fields of the recipes are the same."
    return tabular("differs", "What the arms differ in", ("field", *names), rows, note=note)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value))
    return "none" if value is None else str(value)


def _cost(folder: Path, verdict: Verdict) -> Tabular | None:
    """What all runs of each arm cost together."""
    if is_fixed(verdict):
        return None
    rows, whole = [], [0.0, 0.0, 0.0]
    for arm in arms_of(verdict):
        states = verdict["arms"][arm]["states"]
        seconds = [float(v) for v in verdict["times"].get(arm, {}).values()]
        ended = sum(state in ("done", "diverged") for state in states.values())
        costs = [_sum(verdict["arms"][arm]["cost"].get(k), ended) for k in _COSTS]
        rows.append((arm, str(ended), *(_number(c) for c in costs), _time(sum(seconds))))
        for index, value in enumerate([*costs, sum(seconds)]):
            whole[index] += value or 0
    ended = sum(int(row[1]) for row in rows)
    rows.append(("all", str(ended), *(_number(v) for v in whole[:2]), _time(whole[2])))
    header = ("arm", "runs that ended", "samples", "training, GFLOP", "time")
    note = "Of all runs together; a population counts all of its members."
    return tabular("cost", "What it cost", header, rows, note=note) if ended else None


_COSTS = ("samples", "training_GFLOP")


def _sum(value: Any, runs: int) -> float | None:
    if isinstance(value, list):
        return float(sum(each for each in value if each is not None))
    return None if value is None else float(value) * runs


def _number(value: float | None) -> str:
    return count(None if value is None else round(value))


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
