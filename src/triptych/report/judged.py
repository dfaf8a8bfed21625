"""The verdict of a comparison, computed anew from the records of its runs.

Everything that follows from scores and items is computed here as `triptych compare` does it, and
`verdict.json` is only compared with it. Taken from `verdict.json` are what would need a bootstrap
over images that no records are kept of, and all of a comparison whose runs are not there, such as
a record in `results/`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass, replace
from pathlib import Path
from typing import Any

from triptych.compare import joined
from triptych.compare.comparison import Comparison, Sequential
from triptych.compare.fixed import fixed_verdict
from triptych.compare.folder import EXTENSION, PLAN, VERDICT, cell
from triptych.compare.run import audit_arms
from triptych.compare.scored_on import OTHER
from triptych.compare.verdict import judge, leading_seeds, shown_seeds, verdict_of
from triptych.errors import UserError
from triptych.recipe import Recipe
from triptych.report.studies import evaluation_of, study_of
from triptych.run import read_json
from triptych.stats import summary
from triptych.study import Items, Predictions, Study

RELATIVE = 1e-9
"""Up to here two numbers are the same: other processors round the last digits differently."""


@dataclass(frozen=True)
class Planned(Comparison):
    """A comparison as its plan has it, which says the study."""

    named: str = ""

    @property
    def study(self) -> str:
        return self.named


@dataclass(frozen=True)
class Judged:
    """A verdict, and what is to be said of how it came about."""

    verdict: dict[str, Any]
    from_runs: bool
    """Whether it was computed from runs or predictions; else it is as `verdict.json` has it."""
    remarks: list[str] = field(default_factory=list)


def judged(folder: Path) -> Judged:
    """The verdict of a comparison's folder. Raises UserError where the records do not allow it."""
    plan = read_json(folder / PLAN)
    recorded = read_json(folder / VERDICT) if (folder / VERDICT).exists() else None
    comparison = comparison_of(plan, folder)
    if not _has_cells(folder, comparison):
        if recorded is None and comparison.fixed:
            raise UserError("its predictions have no evaluation yet")
        if recorded is None:
            study = study_of(comparison.study)
            return Judged(
                verdict_of(folder, comparison, study, _planned(plan)) | {"audit": []}, True
            )
        return _from_record(recorded, comparison, _planned(plan))
    try:
        found = _compute(folder, comparison, _planned(plan))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"its records do not fit together ({_line(error)})") from error
    remarks: list[str] = []
    if recorded is not None:
        _take_over(found, recorded)
        if differs := difference(found, recorded):
            remarks.append(
                f"verdict.json is not what the runs give now (first at {differs}): it is of an "
                "earlier state; what is shown was computed from the runs."
            )
    return Judged(found, True, remarks)


NO_RUNS = (
    "The runs are not here: verdicts and means were computed from the scores in `verdict.json`, "
    "all else is as it stands there."
)


def _from_record(recorded: dict[str, Any], comparison: Planned, planned: tuple[int, ...]) -> Judged:
    """A verdict whose scores are all there is: what follows from them is computed from them."""
    if comparison.fixed:
        return Judged(recorded, False, ["The predictions are not here: all is as recorded."])
    found: dict[str, Any] = json.loads(json.dumps(recorded))
    try:
        cells = {
            name: _cells_of(found["arms"][name], comparison.metric) for name in comparison.arms
        }
        parts = [(found, planned)]
        if "exploratory" in found:
            parts.append((found["exploratory"], tuple(found["exploratory"]["seeds"])))
        for part, seeds in parts:
            if comparison.until_decided:
                seeds = leading_seeds(cells, seeds, comparison.metric)
            judgements = judge(comparison, study_of(comparison.study), cells, seeds)
            for pair, judgement in zip(part["pairs"], judgements, strict=True):
                told = [text for text in pair["warnings"] if text.startswith(OTHER)]
                pair |= judgement.as_dict()
                pair["warnings"] += told
        shown = planned
        if comparison.until_decided and "shown" in found["plan"]:
            shown = shown_seeds(cells, comparison.metric, planned)
        for arm in found["arms"].values():
            scores = [arm["scores"].get(str(seed)) for seed in shown]
            there = [float(score) for score in scores if score is not None]
            summed = summary(there) if there else None
            arm |= {
                "mean": summed and summed.mean,
                "std": summed and summed.std,
                "n": len(there),
            }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"verdict.json is not as this program knows it ({_line(error)})") from error
    remarks = [NO_RUNS]
    if differs := difference(found, recorded):
        remarks.append(f"verdict.json is not what its scores give (first at {differs}).")
    return Judged(found, False, remarks)


def _cells_of(arm: Mapping[str, Any], metric: str) -> dict[int, dict[str, Any]]:
    """States and scores of an arm as those of its cells."""
    cells: dict[int, dict[str, Any]] = {}
    for seed, state in arm["states"].items():
        done = state in ("done", "diverged")
        result = {"scores": {metric: arm["scores"][seed]}, "diverged": state == "diverged"}
        cells[int(seed)] = {"state": "done", "result": result} if done else {"state": "missing"}
    return cells


def comparison_of(plan: Mapping[str, Any], folder: Path) -> Planned:
    """The comparison that a plan tells. Raises UserError."""
    try:
        kind = plan["plan"]["kind"]
        order = plan.get("order", list(plan["arms"]))
        fixed = kind == "fixed predictions"
        arms: dict[str, Recipe | Predictions] = {
            name: _predictions(plan["arms"][name]) if fixed else _recipe(plan["arms"][name])
            for name in order
        }
        seeds = tuple(plan["seeds"])
        if (folder / EXTENSION).exists():
            seeds += tuple(read_json(folder / EXTENSION)["seeds"])
        return Planned(
            question=str(plan["question"]),
            arms=arms,
            varies=frozenset(plan["varies"]),
            seeds=seeds,
            metric=plan["metric"],
            margin=float(plan["margin"]),
            beside=tuple(plan.get("beside", ())),
            pairs=tuple((a, b) for a, b in plan["pairs"]),
            until_decided=Sequential(plan["plan"]["n_max"]) if kind == "sequential" else None,
            paired=bool(plan.get("paired", False)),
            data=plan.get("data") or ("" if fixed else None),
            split=plan.get("split") or "val",
            notes=tuple(plan.get("notes", ())),
            reach=tuple(float(score) for score in plan.get("reach", ())),
            named=str(plan["study"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{PLAN} is no plan of a comparison ({_line(error)})") from None


def _recipe(arm: Mapping[str, Any]) -> Recipe:
    """A recipe with the fields that a plan has, whatever the study's own has by now."""
    own = [(name, Any) for name in arm if name not in _COMMON]
    made = make_dataclass("PlannedRecipe", own, bases=(Recipe,), frozen=True, kw_only=True)
    found: Recipe = made(**arm)
    return found


_COMMON = frozenset(Recipe.__dataclass_fields__)


def _predictions(arm: Mapping[str, Any]) -> Predictions:
    return Predictions(str(arm["source"]))


def _planned(plan: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(plan["seeds"])


def _has_cells(folder: Path, comparison: Planned) -> bool:
    if comparison.fixed:
        return any((folder / name / "scores.json").exists() for name in comparison.arms)
    return any(
        cell(folder, name, seed).is_dir() for name in comparison.arms for seed in comparison.seeds
    )


def _compute(folder: Path, comparison: Planned, planned: tuple[int, ...]) -> dict[str, Any]:
    study = _without_bootstrap(study_of(comparison.study))
    if comparison.fixed:
        found = fixed_verdict(folder, comparison, study_of(comparison.study))
        _count_frames(found["arms"], folder)
        return found
    found = verdict_of(folder, comparison, study, planned)
    found["audit"] = [line.as_dict() for line in audit_arms(folder, comparison)]
    found |= joined.record_of(folder, comparison, study_of(comparison.study), found)
    if "fixed" in found:
        _count_frames(found["fixed"]["arms"], folder)
        places = {
            name: cell(folder, name, found["fixed"]["seeds"][0])
            for name in found["fixed"]["recipes"]
        }
        for name, run in places.items():
            place = evaluation_of(run, comparison.metric)
            if place is not None:
                arm = found["fixed"]["recipes"][name]
                arm["items"] = read_json(place / "scores.json").get("frames", arm["items"])
    return found


def _count_frames(arms: Mapping[str, Any], folder: Path) -> None:
    """Of frames, which are summed up in the records, as many as there were."""
    for name, arm in arms.items():
        if arm["items"] and (folder / name / "scores.json").exists():
            scores = read_json(folder / name / "scores.json")
            arm["items"] = scores.get("frames", arm["items"])


def _without_bootstrap(study: Study) -> Study:
    """A study whose items are left out where new items would be judged by resampling them."""

    def run_items(folder: Path, score: str) -> Items | None:
        items = study.run_items(folder, score)
        return items if items is None or items.is_mean or items.groups else None

    return replace(study, run_items=run_items)


def _take_over(found: dict[str, Any], recorded: Mapping[str, Any]) -> None:
    """What was not computed, from `verdict.json`, where it is of the same scores."""
    for part in (found, found.get("exploratory")):
        theirs = recorded if part is found else recorded.get("exploratory")
        if not part or not theirs:
            continue
        known = {(p["arm"], p["baseline"]): p for p in theirs.get("pairs", ())}
        for pair in part["pairs"]:
            other = known.get((pair["arm"], pair["baseline"]))
            if (
                other
                and pair.get("new_items", "none") is None
                and not difference(pair.get("interval"), other.get("interval"))
            ):
                pair["new_items"] = other.get("new_items")
    if "fixed" in found and "fixed" in recorded:
        found["fixed"]["data"] = recorded["fixed"].get("data", found["fixed"]["data"])
        if found["fixed"]["reason"] and recorded["fixed"].get("reason") is None:
            found["fixed"] = recorded["fixed"]


def difference(a: Any, b: Any, where: str = "") -> str | None:
    """Where two records differ first, as `pairs.0.interval.low`; None where they do not.

    A field that only one of them has is no difference: older programs wrote fewer.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in a:
            if key in b and (found := difference(a[key], b[key], f"{where}.{key}".lstrip("."))):
                return found
        return None
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if len(a) != len(b):
            return where
        for index, (ours, theirs) in enumerate(zip(a, b, strict=True)):
            if found := difference(ours, theirs, f"{where}.{index}".lstrip(".")):
                return found
        return None
    if isinstance(a, float | int) and isinstance(b, float | int):
        return None if math.isclose(a, b, rel_tol=RELATIVE, abs_tol=1e-12) else where
    return None if a == b else where


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
