"""What a study's part of a page is about: arms with their evaluations, from the records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.compare.folder import cell
from triptych.errors import UserError
from triptych.report.compact import read_compact
from triptych.report.studies import evaluation_of
from triptych.report.tables import Verdict, arms_of, is_fixed
from triptych.report.words import spread
from triptych.run import read_json

Scores = Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """Arms and the evaluations of their runs."""

    study: str
    metric: str
    evaluations: Mapping[str, Mapping[str, Path]]
    """arm → seed (empty where there are none) → folder."""
    places: Mapping[str, int]
    """arm → place of its colour."""
    pairs: Sequence[tuple[str, str]] = ()
    """(arm, baseline)."""
    runs: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    """arm → seed → run folder."""

    @property
    def arms(self) -> list[str]:
        return list(self.evaluations)

    def scores(self, arm: str) -> list[Scores]:
        """`scores.json` of every evaluation of an arm; one that is broken is left out."""
        found: list[Scores] = []
        for folder in self.evaluations[arm].values():
            try:
                found.append(read_json(folder / "scores.json"))
            except UserError:
                continue
        return found

    def items(self, arm: str) -> dict[str, Mapping[str, Any]]:
        """The items of an arm by seed, where there are any."""
        found: dict[str, Mapping[str, Any]] = {}
        for seed, folder in self.evaluations[arm].items():
            arrays = read_compact(folder)
            if arrays is not None:
                found[seed] = arrays
        return found

    def __bool__(self) -> bool:
        return any(self.evaluations.values())


def subject_of(folder: Path, verdict: Verdict, places: Mapping[str, int]) -> Subject:
    """Of a comparison: its arms, and the fixed predictions that joined them."""
    evaluations: dict[str, dict[str, Path]] = {}
    runs: dict[str, dict[str, Path]] = {}
    fixed = is_fixed(verdict)
    for arm in arms_of(verdict):
        if fixed:
            found = {"": folder / arm} if (folder / arm / "scores.json").exists() else {}
        else:
            runs[arm] = {
                seed: cell(folder, arm, int(seed))
                for seed in sorted(verdict["arms"][arm]["states"], key=int)
                if cell(folder, arm, int(seed)).is_dir()
            }
            of = {seed: evaluation_of(run, verdict["metric"]) for seed, run in runs[arm].items()}
            found = {seed: place for seed, place in of.items() if place is not None}
        if found:
            evaluations[arm] = found
    for arm in verdict.get("fixed", {"arms": ()})["arms"]:
        if (folder / arm / "scores.json").exists():
            evaluations[arm] = {"": folder / arm}
    pairs = [(pair["arm"], pair["baseline"]) for pair in verdict["pairs"]]
    pairs += [(p["arm"], p["baseline"]) for p in verdict.get("fixed", {"pairs": ()})["pairs"]]
    known = [pair for pair in pairs if set(pair) <= set(evaluations)]
    return Subject(verdict["study"], verdict["metric"], evaluations, places, known, runs)


def mean_text(values: Sequence[float | None]) -> str:
    """Mean ± deviation over seeds of those that are there; the n only where there are several."""
    there = [float(value) for value in values if value is not None]
    if not there:
        return "–"
    return spread(there) if len(values) > 1 else f"{there[0]:.4f}"


def by_name(
    subject: Subject, header: str, pick: Any, *, names: Sequence[str] | None = None
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Header and rows of a table with a row a name and a column an arm.

    `pick` takes `scores.json` to a mapping of name → score.
    """
    found = {arm: [pick(scores) or {} for scores in subject.scores(arm)] for arm in subject.arms}
    known = names or list(dict.fromkeys(n for each in found.values() for of in each for n in of))
    rows = [
        (name, *(mean_text([of.get(name) for of in found[arm]]) for arm in subject.arms))
        for name in known
    ]
    return (header, *subject.arms), rows
