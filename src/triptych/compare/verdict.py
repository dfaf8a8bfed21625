"""From the cells of a comparison to its verdict: `verdict.json`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych import stats
from triptych.compare import beside, new_items, reach, scored_on
from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell, cell_state
from triptych.errors import UserError
from triptych.recipe import differences
from triptych.stats.verdicts import FEWEST_SEEDS
from triptych.study import Items, Study

Cells = Mapping[str, Mapping[int, Mapping[str, Any]]]
"""State of every cell, by arm and seed."""

COSTS = ("parameters", "MACs", "samples", "updates", "training_GFLOP")


def verdict_of(
    folder: Path, comparison: Comparison, study: Study, planned: tuple[int, ...]
) -> dict[str, Any]:
    """What the cells say so far.

    `planned` are the seeds of the first plan, `comparison.seeds` all that the folder has by now;
    where they are more, it keeps its first verdict, and what all seeds say together stands beside
    it as exploratory.
    """
    seeds = comparison.seeds
    cells = {
        name: {seed: cell_state(folder, name, seed) for seed in seeds}
        for name, _ in comparison.recipes()
    }
    scored = scored_on.of_arms(folder, cells, comparison.metric)
    pairs = _pairs(folder, comparison, study, cells, planned, scored)
    plan = replace(comparison, seeds=planned).record()["plan"] | {"seeds": list(planned)}
    shown = planned
    if comparison.until_decided:
        shown = shown_seeds(cells, comparison.metric, planned)
        plan["shown"] = list(shown)
        if why := _ended(cells, planned, comparison.metric, pairs):
            plan["ended"] = why
    record = {
        "question": comparison.question,
        "study": comparison.study,
        "metric": comparison.metric,
        "higher_is_better": study.metrics[comparison.metric],
        "margin": comparison.margin,
        "plan": plan,
        "data": scored_on.named(scored),
        "arms": {name: _arm(of, comparison, shown) for name, of in cells.items()},
        "pairs": pairs,
        "times": {name: _seconds(of) for name, of in cells.items()},
        **beside.heading(comparison),
        **reach.heading(pairs),
        **_notes(comparison, cells),
    }
    if seeds != planned:
        record["exploratory"] = {
            "seeds": list(seeds),
            "why": "seeds were added after the plan's own: the first verdict stays",
            "pairs": _pairs(folder, comparison, study, cells, seeds, scored),
        }
    return record


def _ended(
    cells: Cells, planned: tuple[int, ...], metric: str, pairs: Iterable[Mapping[str, Any]]
) -> str | None:
    """Why a sequential plan is over while pairs are undecided; None where it goes on or is settled.

    The seed that can never be complete is waited for until all of its cells have ended.
    """
    following = planned[len(leading_seeds(cells, planned, metric)) :]
    states = [of[seed]["state"] for of in cells.values() for seed in following[:1]]
    if "missing" in states or "begun" in states:
        return None
    if all(pair["verdict"] != "undecided" for pair in pairs):
        return None
    return _no_further(cells, following, metric)


def _notes(comparison: Comparison, cells: Cells) -> dict[str, Any]:
    """What must be said with any verdict: the comparison's own notes, and what the weights that an
    arm began with have seen."""
    seen_before = [
        f"{name} began with weights that have seen {seen}"
        for name, of in cells.items()
        for state in of.values()
        if (seen := state.get("result", {}).get("init", {}).get("loaded", {}).get("seen"))
    ]
    notes = [*comparison.notes, *dict.fromkeys(seen_before)]
    return {"notes": notes} if notes else {}


def score_of(state: Mapping[str, Any], metric: str) -> float | None:
    """A cell's score; None where it is not done, or its data gives none, as where nothing counts
    for it."""
    score = state["result"]["scores"].get(metric) if state["state"] == "done" else None
    return score if score is not None and math.isfinite(score) else None


def complete(
    cells: Mapping[int, Mapping[str, Any]], seeds: tuple[int, ...], metric: str
) -> list[int]:
    """The seeds that have a result with the score."""
    return [seed for seed in seeds if score_of(cells[seed], metric) is not None]


def shown_seeds(cells: Cells, metric: str, planned: tuple[int, ...]) -> tuple[int, ...]:
    """Of a sequential plan, the seeds that an arm's mean is of: those that the pairs are judged by.

    While these are too few to judge by, every seed that has a score counts.
    """
    leading = leading_seeds(cells, planned, metric)
    return leading if len(leading) >= FEWEST_SEEDS else planned


def _arm(
    cells: Mapping[int, Mapping[str, Any]], comparison: Comparison, shown: tuple[int, ...]
) -> dict[str, Any]:
    """One arm's scores, costs and the state of every cell; nothing is dropped.

    Mean, deviation and n are those of the seeds `shown`: of what the verdict is of, once there is
    one.
    """
    metric = comparison.metric
    done = [state["result"] for state in cells.values() if state["state"] == "done"]
    chosen = [cells[seed]["result"] for seed in complete(cells, shown, metric)]
    scores = [result["scores"][metric] for result in chosen]
    found = stats.summary(scores) if scores else None
    costs = {
        name: _common([result.get(name) for result in done]) if done else None for name in COSTS
    }
    further = {"beside": beside.of_seeds(cells, comparison.beside)} if comparison.beside else {}
    return {
        "scores": {str(seed): score_of(state, metric) for seed, state in cells.items()},
        "states": {str(seed): _state(state) for seed, state in cells.items()},
        "mean": found.mean if found else None,
        "std": found.std if found else None,
        "n": len(scores),
        "diverged": sum(result["diverged"] for result in chosen),
        "cost": costs,
        **further,
    }


def _state(state: Mapping[str, Any]) -> str:
    if state["state"] == "done":
        return "diverged" if state["result"]["diverged"] else "done"
    return f"failed: {state['error']}" if state["state"] == "failed" else str(state["state"])


def _common(values: list[Any]) -> Any:
    """The value of a cost, or all of them where the seeds differ (a diverged run costs less)."""
    return values[0] if all(value == values[0] for value in values) else values


def _seconds(cells: Mapping[int, Mapping[str, Any]]) -> dict[str, float]:
    return {
        str(seed): state["result"]["times"]["seconds"]
        for seed, state in cells.items()
        if state["state"] == "done"
    }


def _pairs(
    folder: Path,
    comparison: Comparison,
    study: Study,
    cells: Cells,
    seeds: tuple[int, ...],
    scored: Mapping[str, scored_on.Scored],
) -> list[dict[str, Any]]:
    metric = comparison.metric
    if comparison.until_decided:
        seeds = leading_seeds(cells, seeds, metric)
    judgements = judge(comparison, study, cells, seeds)
    recipes = dict(comparison.recipes())
    found = []
    for judgement in judgements:
        arm, baseline = judgement.arm, judgement.baseline
        differs = differences(recipes[baseline], recipes[arm])
        lacking = _lacking(comparison, cells, seeds, arm, baseline)
        record = judgement.as_dict() | {
            "differs": {key: list(pair) for key, pair in differs.items()},
            "new_items": _new_items(folder, comparison, study, seeds, judgement)
            if len(seeds) >= FEWEST_SEEDS and not lacking
            else None,
            "seeds_needed": _plan(comparison, cells, seeds, arm, baseline)
            if judgement.verdict == "undecided"
            else None,
        }
        record["warnings"] += scored_on.warning(scored, arm, baseline)
        if comparison.beside:
            record["beside"] = beside.of_runs(
                folder, comparison, study, cells, seeds, (arm, baseline), lacking
            )
        if not lacking:
            record |= reach.of_runs(folder, comparison, study, cells, seeds, (arm, baseline))
        found.append(record)
    return found


def judge(
    comparison: Comparison, study: Study, cells: Cells, seeds: tuple[int, ...]
) -> list[stats.Judgement]:
    """The verdict on every declared pair from the given seeds, undecided where a cell lacks.

    A plan has one look at all of its seeds: a verdict from the part that is complete, followed by
    another from all, would be two looks. Under the sequential plan `seeds` are those so far.
    """
    metric = comparison.metric

    def of(name: str) -> tuple[list[float], int]:
        results = [cells[name][seed]["result"] for seed in complete(cells[name], seeds, metric)]
        return [r["scores"][metric] for r in results], sum(r["diverged"] for r in results)

    comparands, lacking = [], {}
    for arm, baseline in comparison.judged():
        (a, diverged_a), (b, diverged_b) = of(arm), of(baseline)
        if reason := _lacking(comparison, cells, seeds, arm, baseline):
            lacking[arm, baseline] = reason
            # Not looked at; Holm counts the pair all the same.
            a, b, diverged_a, diverged_b = [0.0], [0.0], 0, 0
        comparands.append(stats.Comparand(arm, baseline, a, b, diverged_a, diverged_b))
    higher = study.metrics[metric]
    if comparison.until_decided:
        n_max = comparison.until_decided.n_max
        found = stats.judge_sequential(
            comparands, comparison.margin, n_max, higher_is_better=higher
        )
        if note := _no_further(cells, comparison.seeds[len(seeds) :], metric):
            found = [
                replace(each, warnings=(*each.warnings, note))
                if each.verdict == "undecided"
                else each
                for each in found
            ]
    else:
        found = stats.judge(
            comparands, comparison.margin, paired=comparison.paired, higher_is_better=higher
        )
    return [replace(j, reason=lacking.get((j.arm, j.baseline), j.reason)) for j in found]


def _lacking(
    comparison: Comparison, cells: Cells, seeds: tuple[int, ...], arm: str, baseline: str
) -> str | None:
    """Why a pair is not to be looked at yet, or never; None where all of its seeds are there."""
    metric = comparison.metric
    if not seeds:
        never = _scoreless(cells, cells, comparison.seeds[:1], metric)
        return never or "no seed is complete in all arms yet"
    if without := _scoreless(cells, (arm, baseline), seeds, metric):
        return without
    a, b = (len(complete(cells[name], seeds, metric)) for name in (arm, baseline))
    return f"not complete: {a} and {b} of {len(seeds)} seeds" if min(a, b) < len(seeds) else None


def _scoreless(
    cells: Cells, arms: Iterable[str], seeds: tuple[int, ...], metric: str
) -> str | None:
    """Which cells of some arms are done and have no score, in words; None where there are none."""
    found = [
        f"{arm} seed {seed}"
        for arm in arms
        for seed in seeds
        if (state := cells[arm].get(seed, {"state": "missing"}))["state"] == "done"
        and score_of(state, metric) is None
    ]
    return f"{', '.join(found)} ended without a score ({metric})" if found else None


def _no_further(cells: Cells, following: tuple[int, ...], metric: str) -> str | None:
    """Why a sequential plan looks at none of the seeds that follow the complete ones; None where it
    may.

    Seeds are looked at in their order: none after one that will never be complete.
    """
    end = _scoreless(cells, cells, following[:1], metric)
    return end and f"{end}: no further seed is looked at"


def leading_seeds(cells: Cells, seeds: tuple[int, ...], metric: str) -> tuple[int, ...]:
    """The seeds, from the first on, that are complete in all arms."""
    for count, seed in enumerate(seeds):
        if any(score_of(of[seed], metric) is None for of in cells.values()):
            return seeds[:count]
    return seeds


def decided(folder: Path, comparison: Comparison, study: Study, count: int) -> bool:
    """Whether the first `count` seeds decide every pair of a sequential plan, or one of them ended
    without a score, so that no further seed can."""
    if comparison.until_decided is None:
        return False
    seeds = comparison.seeds[:count]
    cells = {
        name: {seed: cell_state(folder, name, seed) for seed in seeds}
        for name, _ in comparison.recipes()
    }
    if _scoreless(cells, cells, seeds, comparison.metric):
        return True
    seeds = leading_seeds(cells, seeds, comparison.metric)
    if len(seeds) < FEWEST_SEEDS:
        return False
    return all(j.verdict != "undecided" for j in judge(comparison, study, cells, seeds))


def _new_items(
    folder: Path,
    comparison: Comparison,
    study: Study,
    seeds: tuple[int, ...],
    judgement: stats.Judgement,
) -> dict[str, Any] | None:
    """Whether what the seeds show holds on new items; None where runs keep no items.

    At the level that the number of pairs and looks leaves, as the verdict itself.
    """
    runs: list[list[Items]] = []
    for name in (judgement.arm, judgement.baseline):
        items = [study.run_items(cell(folder, name, s), comparison.metric) for s in seeds]
        present = [each for each in items if each is not None]
        if len(present) < len(items):
            return None
        runs.append(present)
    higher = study.metrics[comparison.metric]
    wide = judgement.adjusted_interval
    level = wide.level if wide else new_items.LEVEL
    try:
        found = new_items.of_runs(
            runs[0], runs[1], study.group_unit, higher, level, comparison.paired
        )
    except (UserError, ValueError) as error:
        return {"new_items": "cannot be judged", "sentence": str(error)}
    return new_items.beside_verdict(found, judgement.verdict, comparison.margin, higher)


def _plan(
    comparison: Comparison, cells: Cells, seeds: tuple[int, ...], arm: str, baseline: str
) -> dict[str, Any]:
    """The planner's range of seeds for a pair that is undecided."""
    metric = comparison.metric
    a, b = (
        {seed: cells[name][seed]["result"]["scores"][metric] for seed in done}
        for name in (arm, baseline)
        for done in (complete(cells[name], seeds, metric),)
    )
    both = [seed for seed in a if seed in b]
    n = len(both) if comparison.paired else min(len(a), len(b))
    if n == 0:
        over = _no_further(cells, comparison.seeds[len(seeds) :], metric)
        reason = "no seed is complete" if over else "no seed is complete yet"
        return {"seeds": None, "low": None, "high": None, "reason": reason}
    plan = stats.plan_seeds(
        stats.summary(list(a.values())).std,
        stats.summary(list(b.values())).std,
        n,
        comparison.margin,
        arms=len(comparison.judged()) + 1,
        sequential=comparison.until_decided is not None,
        std_paired=stats.summary([a[seed] - b[seed] for seed in both]).std
        if comparison.paired
        else None,
    )
    return {"seeds": plan.seeds, "low": plan.low, "high": plan.high, "reason": plan.reason}
