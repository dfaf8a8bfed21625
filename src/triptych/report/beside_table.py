"""The table of the scores beside the primary metric: described, never judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.report.tables import Table, Value, Verdict, is_fixed
from triptych.report.words import NOTHING, interval, score, signed, unit


def beside_table(verdict: Verdict) -> Table | None:
    """Every pair and score: both arms, their difference with its interval, and each drive.

    None where the comparison names no such scores. Rows of seeds that were added after the plan
    are marked exploratory in their first field, as in the table of pairs.
    """
    if "beside" not in verdict:
        return None
    found = [
        (standing, pair, each)
        for standing, pairs in _standings(verdict).items()
        for pair in pairs
        for each in pair["beside"]
    ]
    groups = sorted({group for _, _, each in found for group in each["by_group"] or {}})
    fixed, extended = is_fixed(verdict), "exploratory" in verdict
    values = ("arm", "baseline") if fixed else ("arm, mean ± std (n)", "baseline, mean ± std (n)")
    header = (
        *(["seeds"] if extended else []),
        "arm against baseline",
        "score, unit",
        *values,
        *(["difference over all items", "difference"] if fixed and groups else ["difference"]),
        "interval (level)",
        *[f"difference on {group}" for group in groups],
        "note",
        "method",
    )
    rows, data = [], []
    for standing, pair, each in found:
        seen, by_group = each["interval"] or {}, each["by_group"] or {}
        in_groups = [by_group.get(group) for group in groups]
        pooled = [signed(each["pooled_difference"])] if fixed and groups else []
        rows.append(
            (
                *([_seeds(verdict, standing)] if extended else []),
                f"{pair['arm']} against {pair['baseline']}",
                f"{each['score']}, {unit(each['score'])}",
                _value(each["of_arm"]),
                _value(each["of_baseline"]),
                *pooled,
                signed(each["difference"]),
                interval(each["interval"]),
                *map(signed, in_groups),
                _note(each),
                seen.get("method") or NOTHING,
            )
        )
        data.append(
            {
                "described_on": standing,
                "arm": pair["arm"],
                "baseline": pair["baseline"],
                "score": each["score"],
                **_record("arm", each["of_arm"]),
                **_record("baseline", each["of_baseline"]),
                **({"pooled_difference": each["pooled_difference"]} if fixed else {}),
                "difference": each["difference"],
                **{key: seen.get(key) for key in ("low", "high", "level")},
                **{f"difference on {g}": v for g, v in zip(groups, in_groups, strict=True)},
                "note": _note(each),
                "method": seen.get("method"),
            }
        )
    return Table(header, tuple(rows), tuple(data))


def _standings(verdict: Verdict) -> dict[str, Any]:
    if "exploratory" not in verdict:
        return {"plan": verdict["pairs"]}
    return {"plan": verdict["pairs"], "exploratory": verdict["exploratory"]["pairs"]}


def _seeds(verdict: Verdict, standing: str) -> str:
    seeds = verdict["plan" if standing == "plan" else standing]["seeds"]
    return f"{standing}: {', '.join(map(str, seeds))}"


def _value(found: Any) -> str:
    """A score of fixed predictions, or what an arm's runs scored and how many have no score."""
    if not isinstance(found, Mapping):
        return "missing" if found is None else score(found)
    lacks = f"missing in {found['missing']} of {found['n'] + found['missing']}"
    if found["mean"] is None:
        return lacks if found["missing"] else "no score (n = 0)"
    spread = "" if found["std"] is None else f" ± {found['std']:.4f}"
    text = f"{found['mean']:.4f}{spread} (n = {found['n']})"
    return f"{text}, {lacks}" if found["missing"] else text


def _record(name: str, found: Any) -> dict[str, Value]:
    if not isinstance(found, Mapping):
        return {name + "_score": found}
    return {f"{name}_{key}": found[key] for key in ("mean", "std", "n", "missing")}


def _note(each: Verdict) -> str:
    """What is to be known of one row's difference."""
    parts = ["mean over groups"] if "pooled_difference" in each and each["by_group"] else []
    return "; ".join([*parts, *([each["reason"]] if each["reason"] else [])]) or NOTHING
