"""On what data each arm was scored: the same for all, unless the arms differ in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.compare.folder import cell
from triptych.run import read_json

OTHER = "scored on different data"
"""How the warning begins that a pair's scores do not compare as such."""


@dataclass(frozen=True)
class Scored:
    """The data and split that a run's scores are of."""

    name: str
    content: str | None
    """A digest of what lay there; None where the run does not say."""

    def same(self, other: Scored) -> bool:
        known = None not in (self.content, other.content)
        return self.name == other.name and (self.content == other.content or not known)


def of_arms(
    folder: Path, cells: Mapping[str, Mapping[int, Mapping[str, Any]]], metric: str
) -> dict[str, Scored]:
    """By arm, from its first cell that is done; arms without one are left out."""
    found = {}
    for arm, of in cells.items():
        done = [seed for seed, state in of.items() if state["state"] == "done"]
        if done:
            name = str(of[done[0]]["result"]["data"])
            if metric.startswith("val_"):  # the data that is named is that of the last score
                name = f"{name.rpartition(' ')[0]} val"
            found[arm] = Scored(name, _content(cell(folder, arm, done[0]), name))
    return found


def _content(run: Path, name: str) -> str | None:
    """That of the run's evaluation where it says so, else that of the split among its data."""
    own = run / "evaluations" / name.replace(" ", "-") / "scores.json"
    if own.exists() and (digest := read_json(own).get("fingerprint")):
        return str(digest)
    file = run / "recipe.json"
    splits = read_json(file).get("fingerprint", {}) if file.exists() else {}
    return splits.get(name.rpartition(" ")[2])


def named(arms: Mapping[str, Scored]) -> str | None:
    """The data of all arms in words, with the arms' names where it is not the same for all."""
    kinds = _kinds(arms.values())
    if len(kinds) < 2:
        return kinds[0].name if kinds else None
    of = {
        _label(each, kinds): [arm for arm, own in arms.items() if own.same(each)] for each in kinds
    }
    return " and ".join(f"{text} ({', '.join(own)})" for text, own in of.items())


def warning(arms: Mapping[str, Scored], arm: str, baseline: str) -> list[str]:
    """What is to be known of a pair whose arms were scored on different data; else nothing."""
    a, b = arms.get(arm), arms.get(baseline)
    if a is None or b is None or a.same(b):
        return []
    kinds = _kinds(arms.values())
    return [f"{OTHER}: {arm} on {_label(a, kinds)} and {baseline} on {_label(b, kinds)}"]


def _kinds(all_of_them: Iterable[Scored]) -> list[Scored]:
    found: list[Scored] = []
    for each in all_of_them:
        if not any(each.same(other) for other in found):
            found.append(each)
    return found


def _label(one: Scored, kinds: Sequence[Scored]) -> str:
    """Its name, and the start of its digest where others have that name too."""
    alike = [each for each in kinds if each.name == one.name]
    return f"{one.name} {one.content[:8]}" if len(alike) > 1 and one.content else one.name
