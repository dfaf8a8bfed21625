"""From the cells of a comparison to its verdict: `verdict.json`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych import stats
from triptych.compare import beside, new_items, reach
from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell, cell_state
from triptych.errors import UserError
from triptych.recipe import differences
from triptych.study import Items, Study

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
    pairs = _pairs(folder, comparison, study, cells, planned)
    record = {
        "question": comparison.question,
        "study": comparison.study,
        "metric": comparison.metric,
        "higher_is_better": study.metrics[comparison.metric],
        "margin": comparison.margin,
        "plan": replace(comparison, seeds=planned).record()["plan"] | {"seeds": list(planned)},
        "data": _data(cells),
        "arms": {name: _arm(of, comparison, planned) for name, of in cells.items()},
        "pairs": pairs,
        "times": {name: _seconds(of) for name, of in cells.items()},
        **beside.heading(comparison),
        **reach.heading(pairs),
        **_notes(cells),
    }
    if seeds != planned:
        record["exploratory"] = {
            "seeds": list(seeds),
            "why": "seeds were added after the plan's own: the first verdict stays",
            "pairs": _pairs(folder, comparison, study, cells, seeds),
        }
    return record


def _notes(cells: dict[str, dict[int, dict[str, Any]]]) -> dict[str, Any]:
    """What must be said with any verdict: what the weights that an arm began with have seen."""
    notes = [
        f"{name} began with weights that have seen {seen}"
        for name, of in cells.items()
        for state in of.values()
        if (seen := state.get("result", {}).get("init", {}).get("loaded", {}).get("seen"))
    ]
    return {"notes": list(dict.fromkeys(notes))} if notes else {}


def _data(cells: dict[str, dict[int, dict[str, Any]]]) -> str | None:
    for of in cells.values():
        for state in of.values():
            if state["state"] == "done":
                return str(state["result"]["data"])
    return None


def complete(cells: dict[int, dict[str, Any]], seeds: tuple[int, ...]) -> list[int]:
    """The seeds that have a result."""
    return [seed for seed in seeds if cells[seed]["state"] == "done"]


def _arm(
    cells: dict[int, dict[str, Any]], comparison: Comparison, planned: tuple[int, ...]
) -> dict[str, Any]:
    """One arm's scores, costs and the state of every cell; nothing is dropped.

    Mean, deviation and n are those of the plan's seeds, as the verdict is.
    """
    metric = comparison.metric
    done = [state["result"] for state in cells.values() if state["state"] == "done"]
    chosen = [cells[seed]["result"] for seed in complete(cells, planned)]
    scores = [result["scores"][metric] for result in chosen]
    found = stats.summary(scores) if scores else None
    costs = {
        name: _common([result.get(name) for result in done]) if done else None for name in COSTS
    }
    further = {"beside": beside.of_seeds(cells, comparison.beside)} if comparison.beside else {}
    return {
        "scores": {
            str(seed): state["result"]["scores"][metric] if state["state"] == "done" else None
            for seed, state in cells.items()
        },
        "states": {str(seed): _state(state) for seed, state in cells.items()},
        "mean": found.mean if found else None,
        "std": found.std if found else None,
        "n": len(scores),
        "diverged": sum(result["diverged"] for result in chosen),
        "cost": costs,
        **further,
    }


def _state(state: dict[str, Any]) -> str:
    if state["state"] == "done":
        return "diverged" if state["result"]["diverged"] else "done"
    return f"failed: {state['error']}" if state["state"] == "failed" else str(state["state"])


def _common(values: list[Any]) -> Any:
    """The value of a cost, or all of them where the seeds differ (a diverged run costs less)."""
    return values[0] if all(value == values[0] for value in values) else values


def _seconds(cells: dict[int, dict[str, Any]]) -> dict[str, float]:
    return {
        str(seed): state["result"]["times"]["seconds"]
        for seed, state in cells.items()
        if state["state"] == "done"
    }


def _pairs(
    folder: Path,
    comparison: Comparison,
    study: Study,
    cells: dict[str, dict[int, dict[str, Any]]],
    seeds: tuple[int, ...],
) -> list[dict[str, Any]]:
    if comparison.until_decided:
        seeds = seeds[: _leading(cells, seeds)]
    judgements = judge(comparison, study, cells, seeds)
    recipes = dict(comparison.recipes())
    found = []
    for judgement in judgements:
        arm, baseline = judgement.arm, judgement.baseline
        differs = differences(recipes[baseline], recipes[arm])
        record = judgement.as_dict() | {
            "differs": {key: list(pair) for key, pair in differs.items()},
            "new_items": _new_items(folder, comparison, study, cells, seeds, judgement),
            "seeds_needed": _plan(comparison, cells, seeds, arm, baseline)
            if judgement.verdict == "undecided"
            else None,
        }
        if comparison.beside:
            pair, lacking = (arm, baseline), _lacking(cells, seeds, arm, baseline)
            record["beside"] = beside.of_runs(
                folder, comparison, study, cells, seeds, pair, lacking
            )
        if not _lacking(cells, seeds, arm, baseline):
            record |= reach.of_runs(folder, comparison, study, cells, seeds, (arm, baseline))
        found.append(record)
    return found


def judge(
    comparison: Comparison,
    study: Study,
    cells: dict[str, dict[int, dict[str, Any]]],
    seeds: tuple[int, ...],
) -> list[stats.Judgement]:
    """The verdict on every declared pair from the given seeds, undecided where a cell lacks.

    A plan has one look at all of its seeds: a verdict from the part that is complete, followed by
    another from all, would be two looks. Under the sequential plan `seeds` are those so far.
    """

    def of(name: str) -> tuple[list[float], int]:
        results = [cells[name][seed]["result"] for seed in complete(cells[name], seeds)]
        scores = [result["scores"][comparison.metric] for result in results]
        return scores, sum(result["diverged"] for result in results)

    comparands, lacking = [], {}
    for arm, baseline in comparison.judged():
        (a, diverged_a), (b, diverged_b) = of(arm), of(baseline)
        if reason := _lacking(cells, seeds, arm, baseline):
            lacking[arm, baseline] = reason
            # Not looked at; Holm counts the pair all the same.
            a, b, diverged_a, diverged_b = [0.0], [0.0], 0, 0
        comparands.append(stats.Comparand(arm, baseline, a, b, diverged_a, diverged_b))
    higher = study.metrics[comparison.metric]
    if comparison.until_decided:
        n_max = comparison.until_decided.n_max
        found = stats.judge_sequential(
            comparands, comparison.margin, n_max, higher_is_better=higher
        )
    else:
        found = stats.judge(
            comparands, comparison.margin, paired=comparison.paired, higher_is_better=higher
        )
    return [replace(j, reason=lacking.get((j.arm, j.baseline), j.reason)) for j in found]


def _lacking(
    cells: dict[str, dict[int, dict[str, Any]]], seeds: tuple[int, ...], arm: str, baseline: str
) -> str | None:
    """Why a pair is not to be looked at yet; None where all of its seeds are there."""
    if not seeds:
        return "no seed is complete in all arms yet"
    a, b = (len(complete(cells[name], seeds)) for name in (arm, baseline))
    return f"not complete: {a} and {b} of {len(seeds)} seeds" if min(a, b) < len(seeds) else None


def _leading(cells: dict[str, dict[int, dict[str, Any]]], seeds: tuple[int, ...]) -> int:
    """How many seeds, from the first on, are complete in all arms."""
    for count, seed in enumerate(seeds):
        if any(of[seed]["state"] != "done" for of in cells.values()):
            return count
    return len(seeds)


def decided(folder: Path, comparison: Comparison, study: Study, count: int) -> bool:
    """Whether the first `count` seeds decide every pair of a sequential plan."""
    if comparison.until_decided is None or count < 3:
        return False
    seeds = comparison.seeds[:count]
    cells = {
        name: {seed: cell_state(folder, name, seed) for seed in seeds}
        for name, _ in comparison.recipes()
    }
    seeds = seeds[: _leading(cells, seeds)]
    return all(j.verdict != "undecided" for j in judge(comparison, study, cells, seeds))


def _new_items(
    folder: Path,
    comparison: Comparison,
    study: Study,
    cells: dict[str, dict[int, dict[str, Any]]],
    seeds: tuple[int, ...],
    judgement: stats.Judgement,
) -> dict[str, Any] | None:
    """Whether the difference holds on new items; None below 3 seeds or where a cell lacks.

    At the level that the number of pairs and looks leaves, as the verdict itself; and what the
    seeds do not show on this test set is not shown on new items.
    """
    arm, baseline = judgement.arm, judgement.baseline
    if len(seeds) < 3 or any(len(complete(cells[x], seeds)) < len(seeds) for x in (arm, baseline)):
        return None
    runs: list[list[Items]] = []
    for name in (arm, baseline):
        items = [study.run_items(cell(folder, name, s), comparison.metric) for s in seeds]
        present = [each for each in items if each is not None]
        if len(present) < len(items):
            return None
        runs.append(present)
    higher = study.metrics[comparison.metric]
    wide = judgement.adjusted_interval
    try:
        found = new_items.of_runs(
            runs[0], runs[1], study.group_unit, higher, wide.level if wide else new_items.LEVEL
        )
    except (UserError, ValueError) as error:
        return {"new_items": "cannot be judged", "sentence": str(error)}
    ahead = "better" if (found["difference"] > 0) == higher else "worse"
    if found["new_items"] == "yes" and judgement.verdict != ahead:
        found["new_items"] = "not shown"
        found["sentence"] = "not shown, as the seeds alone do not show a difference"
    return found


def _plan(
    comparison: Comparison,
    cells: dict[str, dict[int, dict[str, Any]]],
    seeds: tuple[int, ...],
    arm: str,
    baseline: str,
) -> dict[str, Any]:
    """The planner's range of seeds for a pair that is undecided."""
    found = []
    for name in (arm, baseline):
        done = complete(cells[name], seeds)
        scores = [cells[name][seed]["result"]["scores"][comparison.metric] for seed in done]
        found.append(stats.summary(scores) if scores else None)
    a, b = found
    n = min(a.n if a else 0, b.n if b else 0)
    if a is None or b is None or n == 0:
        return {"seeds": None, "low": None, "high": None, "reason": "no seed is complete yet"}
    plan = stats.plan_seeds(
        a.std,
        b.std,
        n,
        comparison.margin,
        arms=len(comparison.judged()) + 1,
        sequential=comparison.until_decided is not None,
    )
    return {"seeds": plan.seeds, "low": plan.low, "high": plan.high, "reason": plan.reason}
