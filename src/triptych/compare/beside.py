"""Scores beside the primary metric: shown with intervals, never judged.

A comparison judges one score. Others that a reader wants to see beside it were named before the
first look, but they are many, so that some would differ by luck alone: they get a description
and no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from triptych import stats
from triptych.compare import new_items
from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell
from triptych.errors import UserError
from triptych.stats.items import members_by_group, why_not
from triptych.stats.verdicts import refusal
from triptych.study import Items, Study

LABEL = "beside the primary metric: described, no verdict"
NOTE = (
    "exploratory: every interval stands alone at 95 %; none is adjusted for the number of scores, "
    "pairs or looks (no Holm)"
)
LEVEL = 0.95


def heading(comparison: Comparison) -> dict[str, Any]:
    """What a verdict says of such scores in general; nothing where there are none."""
    if not comparison.beside:
        return {}
    return {"beside": {"scores": list(comparison.beside), "label": LABEL, "note": NOTE}}


def of_seeds(
    cells: Mapping[int, Mapping[str, Any]], scores: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """An arm's scores by name and seed; None where a run has none, or is not done."""
    return {
        name: {str(seed): _score(state, name) for seed, state in cells.items()} for name in scores
    }


def _score(state: Mapping[str, Any], name: str) -> float | None:
    """A cell's score; a run may lack one, such as that of frames which its data does not have."""
    found: float | None = state["result"]["scores"].get(name) if state["state"] == "done" else None
    return found


def of_runs(
    folder: Path,
    comparison: Comparison,
    study: Study,
    cells: Mapping[str, Mapping[int, Mapping[str, Any]]],
    seeds: tuple[int, ...],
    pair: tuple[str, str],
    lacking: str | None,
) -> list[dict[str, Any]]:
    """What the `seeds` of (arm, baseline) show of every score in `comparison.beside`.

    `lacking` says why the seeds are not to be looked at yet: then there is no difference.
    """
    found = []
    for name in comparison.beside:
        arms = [
            [
                _score(cells[arm][seed], name)
                for seed in seeds
                if cells[arm][seed]["state"] == "done"
            ]
            for arm in pair
        ]
        record: dict[str, Any] = {
            "score": name,
            "of_arm": _summary(arms[0]),
            "of_baseline": _summary(arms[1]),
            **_difference(pair, arms, comparison.paired, lacking),
            "by_group": None,
        }
        if record["difference"] is not None:
            items = [[study.run_items(cell(folder, arm, s), name) for s in seeds] for arm in pair]
            record["by_group"] = _by_group(*items)
        found.append(record)
    return found


def _summary(scores: Sequence[float | None]) -> dict[str, Any]:
    """Mean and deviation of the runs that have the score, and how many have none."""
    present = [score for score in scores if score is not None]
    found = asdict(stats.summary(present)) if present else {"mean": None, "std": None, "n": 0}
    return found | {"missing": len(scores) - len(present)}


def _difference(
    pair: tuple[str, str],
    arms: Sequence[Sequence[float | None]],
    paired: bool,
    lacking: str | None,
) -> dict[str, Any]:
    """Arm minus baseline with its interval over seeds, or the reason why there is none.

    A mean over the runs that happen to have a score is no difference between recipes.
    """
    if lacking:
        return {"difference": None, "interval": None, "reason": lacking}
    a, b = ([score for score in arm if score is not None] for arm in arms)
    if len(a) < len(arms[0]) or len(b) < len(arms[1]):
        text = " and ".join(
            f"{arm.count(None)} of {len(arm)} runs of {name}"
            for name, arm in zip(pair, arms, strict=True)
        )
        return {"difference": None, "interval": None, "reason": f"missing in {text}"}
    difference = stats.summary(a).mean - stats.summary(b).mean
    reason = refusal(stats.Comparand(*pair, a, b))
    if reason is None:
        interval_of = stats.paired_seed_difference if paired else stats.seed_difference
        try:
            interval = asdict(interval_of(a, b, LEVEL))
            return {"difference": difference, "interval": interval, "reason": None}
        except ValueError as error:
            reason = str(error)
    return {"difference": difference, "interval": None, "reason": reason}


def _by_group(a: Sequence[Items | None], b: Sequence[Items | None]) -> dict[str, float] | None:
    """The difference of the means over runs in every group (drive); None without groups."""
    runs = [items for items in (*a, *b) if items is not None]
    if len(runs) < len(a) + len(b) or runs[0].groups is None:
        return None
    try:
        new_items.same_items(runs)
        scores = stats.scores_by_group(Items.score, runs, runs[0].groups)
    except (UserError, ValueError):
        return None
    each = scores[: len(a)].mean(axis=0) - scores[len(a) :].mean(axis=0)
    return dict(
        zip(members_by_group(runs[0].groups, len(runs[0].keys)), each.tolist(), strict=True)
    )


def of_evaluation(folder: Path, scores: Sequence[str], study: Study) -> dict[str, Items]:
    """The items of an evaluation for every score. Raises UserError where it lacks one."""
    found = {}
    for name in scores:
        items = study.evaluation_items(folder, name)
        if items is None:
            raise UserError(
                f"'{name}' cannot stand beside the metric: predictions have no such score"
            )
        found[name] = items
    return found


def of_fixed(
    a: Mapping[str, Items | None], b: Mapping[str, Items | None], unit: str | None
) -> list[dict[str, Any]]:
    """What the items of an arm and its baseline show of every score, for these predictions.

    With groups the difference is the mean over groups, as the primary metric's.
    """
    return [{"score": name, **_of_items(a[name], b[name], unit)} for name in a]


def _of_items(a: Items | None, b: Items | None, unit: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "of_arm": a and finite_score(a),
        "of_baseline": b and finite_score(b),
        "difference": None,
        "pooled_difference": None,
        "interval": None,
        "by_group": None,
        "reason": None,
    }
    if a is None or b is None:
        return found | {"reason": "missing: there are no items of it on record"}
    if found["of_arm"] is None or found["of_baseline"] is None:
        return found | {"reason": "missing: no item of the data has it"}
    found["pooled_difference"] = found["of_arm"] - found["of_baseline"]
    try:
        # Which direction is better only colours a sentence, which is left out.
        verdict = new_items.of_fixed(a, b, unit, True, LEVEL)
    except (UserError, ValueError) as error:
        return found | {"reason": str(error)}
    shown = {key: verdict[key] for key in ("difference", "interval", "by_group")}
    if verdict["interval"] is None:
        groups = verdict["by_group"]
        why = f"new {unit or 'groups'} cannot be judged {why_not(len(groups or ()))}"
        shown["reason"] = why if groups else verdict["sentence"]
    return found | shown


def finite_score(items: Items) -> float | None:
    """The score over all items; None where they have none."""
    return or_none(items.score()) if items.keys else None


def or_none(score: float) -> float | None:
    return score if math.isfinite(score) else None
