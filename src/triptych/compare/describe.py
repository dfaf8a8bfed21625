"""A comparison's verdict as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.audit import Line, as_text


def describe(verdict: Mapping[str, Any]) -> str:
    """Table of the arms, one sentence a pair, and the audit."""
    return "\n".join(_lines(verdict))


def _lines(verdict: Mapping[str, Any]) -> list[str]:
    metric = verdict["metric"]
    plan = verdict["plan"]
    fixed = plan["kind"] == "fixed predictions"
    lines = [verdict["question"], f"{metric} on {verdict['data'] or 'no data yet'}, "
             f"margin {verdict['margin']:g}, {_plan(plan)}", ""]  # fmt: skip
    if fixed:
        lines += [_fixed_arm(name, arm) for name, arm in verdict["arms"].items()]
    else:
        ended = plan.get("ended")
        lines += [_arm(name, arm, over=bool(ended)) for name, arm in verdict["arms"].items()]
        if ended:
            lines.append(f"  The plan has ended: {ended}.")
        settled = is_settled(verdict)
        lines += [
            f"  {name} seed {seed}: {state}"
            for name, arm in verdict["arms"].items()
            for seed, state in arm["states"].items()
            if state != "done" and not (settled and state == "missing")
        ]
    lines += [f"  note: {note}" for note in verdict.get("notes", ())]
    lines.append("")
    for pair in verdict["pairs"]:
        lines += _fixed_pair(pair) if fixed else _pair(pair)
        lines += _beside(verdict, pair)
    if "exploratory" in verdict:
        lines += ["", f"Exploratory, with seeds {verdict['exploratory']['seeds']}: "
                  f"{verdict['exploratory']['why']}"]  # fmt: skip
        for pair in verdict["exploratory"]["pairs"]:
            lines += _pair(pair)
            lines += _beside(verdict, pair)
    if "beside" in verdict:
        lines += ["", f"{verdict['beside']['label']}; {verdict['beside']['note']}"]
    if about := verdict.get("samples_to_reach"):
        lines += ["", f"{about['label']}; {about['note']}"]
    audit = verdict["audit"]
    if joined := verdict.get("fixed"):
        lines += ["", *_joined(verdict, joined)]
        audit = [*audit, *joined["audit"]]
    return [*lines, "", "audit", as_text([Line(**line) for line in audit])]


def _joined(verdict: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Fixed predictions among recipes: their own scores, and how each stands to each recipe."""
    lines = [f"Fixed predictions on {found['data']}: {found['judged']}", f"    {found['note']}"]
    lines += [_fixed_arm(name, arm) for name, arm in found["arms"].items()]
    if found["reason"]:
        lines.append(f"  not compared with the recipes: {found['reason']}")
    for pair in found["pairs"]:
        lines += _fixed_pair(pair)
        lines += _beside(verdict, pair)
    return lines


def _fixed_arm(name: str, arm: Mapping[str, Any]) -> str:
    missing = "no score" if arm["items"] else "not scored yet"
    return f"  {name:<24} {missing if arm['score'] is None else format(arm['score'], '.4f')}"


def is_settled(verdict: Mapping[str, Any]) -> bool:
    """Whether a sequential plan is decided or has ended, so that no seed that it did not run is
    missing."""
    plan = verdict["plan"]
    return plan["kind"] == "sequential" and (
        "ended" in plan or all(pair["verdict"] != "undecided" for pair in verdict["pairs"])
    )


def _plan(plan: Mapping[str, Any]) -> str:
    if plan["kind"] == "fixed":
        return f"plan: {plan['n']} seeds"
    if plan["kind"] == "sequential":
        return f"plan: until decided, at most {plan['n_max']} seeds"
    return "fixed predictions"


def _arm(name: str, arm: Mapping[str, Any], *, over: bool = False) -> str:
    """One arm's mean and costs; `over` says that none of its seeds is still to come."""
    if arm["mean"] is None:
        return f"  {name:<24} no score{'' if over else ' yet'}"
    spread = "" if arm["std"] is None else f" ± {arm['std']:.4f}"
    text = f"  {name:<24} {arm['mean']:.4f}{spread} (n = {arm['n']})"
    cost = arm["cost"]
    costs = [
        f"{_number(cost[key])} {unit}"
        for key, unit in (
            ("parameters", "parameters"),
            ("samples", "samples"),
            ("updates", "updates"),
            ("training_GFLOP", "GFLOP"),
        )
        if cost.get(key) is not None
    ]
    if arm["diverged"]:
        costs.insert(0, f"{arm['diverged']} of {arm['n']} diverged")
    return ", ".join([text, *costs])


def _number(value: Any) -> str:
    if isinstance(value, list):
        present = [each for each in value if each is not None]
        return f"{min(present):,} to {max(present):,}" if present else "unknown"
    return f"{value:,}"


def _pair(pair: Mapping[str, Any]) -> list[str]:
    head = f"{pair['arm']} against {pair['baseline']}: {pair['verdict'].upper()} on this test set"
    if pair["interval"] is None:
        lines = [f"{head} ({pair['reason']})"]
    else:
        seen, wide = pair["interval"], pair["adjusted_interval"]
        of_all = "" if wide["level"] == seen["level"] else f" (with all pairs {_interval(wide)})"
        lines = [
            head,
            f"    {seen['difference']:+.4f} {_interval(seen)}{of_all}; {pair['reason']}; "
            f"{pair['method']}; "
            f"p {_p(pair['p_difference_adjusted'])} for a difference, "
            f"{_p(pair['p_equivalence_adjusted'])} for equivalence",
        ]
    new = pair.get("new_items")
    if new:
        lines.append(f"    new items: {new['new_items']} ({new['sentence']})")
        if new.get("by_group"):
            lines.append(f"    difference in each: {_each(new['by_group'])}")
    if reached := pair.get("samples_to_reach"):
        lines += [f"    samples: {sentence}" for sentence in reached["sentences"]]
    lines += [f"    note: {warning}" for warning in pair["warnings"]]
    if pair.get("seeds_needed"):
        lines.append(f"    seeds: {pair['seeds_needed']['reason']}")
    return lines


MOST_GROUPS = 12
"""Whose differences are listed; of more there are the lowest and the highest."""


def _each(by_group: Mapping[str, float]) -> str:
    """The difference in every group (drive), in one line."""
    if len(by_group) <= MOST_GROUPS:
        return ", ".join(f"{name} {value:+.4f}" for name, value in by_group.items())
    low, high = min(by_group, key=by_group.__getitem__), max(by_group, key=by_group.__getitem__)
    return f"from {by_group[low]:+.4f} ({low}) to {by_group[high]:+.4f} ({high})"


def _interval(found: Mapping[str, Any]) -> str:
    return f"[{found['low']:+.4f}, {found['high']:+.4f}] at {_level(found)}"


def _level(found: Mapping[str, Any]) -> str:
    """An interval's level with as many digits as tell it apart: 95%, 97.5%, 99.96%."""
    percent = 100 * float(found["level"])
    return f"{percent:.3g}%" if percent < 99.95 else f"{percent:.5g}%"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def _fixed_pair(pair: Mapping[str, Any]) -> list[str]:
    number = "" if pair["difference"] is None else f"{pair['difference']:+.4f}; "
    lines = [f"{pair['arm']} against {pair['baseline']}: {number}{pair['sentence']}"]
    if pair["interval"]:
        seen = pair["interval"]
        lines.append(
            f"    [{seen['low']:+.4f}, {seen['high']:+.4f}] at {_level(seen)}; {seen['method']}"
        )
    for group, difference in (pair["by_group"] or {}).items():
        lines.append(f"    {group}: {difference:+.4f}")
    return lines


def _beside(verdict: Mapping[str, Any], pair: Mapping[str, Any]) -> list[str]:
    """The scores beside the primary metric, a line each, and the drives of each in another."""
    if "beside" not in pair:
        return []
    lines = [f"    {verdict['beside']['label']}"]
    for found in pair["beside"]:
        text = f"{_value(found['of_arm'])} against {_value(found['of_baseline'])}"
        if found["difference"] is not None:
            text += f": {found['difference']:+.4f}"
        if seen := found["interval"]:
            text += f" [{seen['low']:+.4f}, {seen['high']:+.4f}] at {_level(seen)}"
        if "pooled_difference" in found and found["by_group"]:
            text += f" (mean over groups; over all items {found['pooled_difference']:+.4f})"
        if found["reason"] and "missing in" not in text:
            text += f" ({found['reason']})"
        lines.append(f"      {found['score']:<14} {text}")
        if found["by_group"]:
            each = ", ".join(f"{name} {value:+.4f}" for name, value in found["by_group"].items())
            lines.append(f"      {'':<14} {each}")
    return lines


def _value(found: Mapping[str, Any] | float | None) -> str:
    """A score of fixed predictions, or what an arm's runs scored and how many have no score."""
    if found is None:
        return "missing"
    if not isinstance(found, Mapping):
        return f"{found:.4f}"
    lacks = f"missing in {found['missing']} of {found['missing'] + found['n']}"
    if found["mean"] is None:
        return lacks if found["missing"] else "no score yet"
    spread = "" if found["std"] is None else f" ± {found['std']:.4f}"
    text = f"{found['mean']:.4f}{spread} (n = {found['n']})"
    return f"{text}, {lacks}" if found["missing"] else text
