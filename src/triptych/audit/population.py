"""Did what a population explored take effect? Each interval of each member, from its witness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from triptych.audit.line import Finding, Line, span


def hyperparameters(found: Mapping[str, Any]) -> list[Line]:
    """Did the hyperparameters that a population explored take effect, in every interval?"""
    if "intervals" not in found:
        return []
    faults: dict[str, list[str]] = {}
    for each in found["intervals"]:
        for name, (low, high) in each["due"].items():
            used = each["used"].get(name)
            if used is None or not _took_effect(name, low, high, used, each["updates"]):
                seen = "nothing" if used is None else f"{used['min']:.4g} to {used['max']:.4g}"
                where = f"round {each['round']}, member {each['member']}: due {high:.4g}, {seen}"
                faults.setdefault(name, []).append(where)
    count = len(found["intervals"])
    if not faults:
        names = ", ".join(sorted({name for each in found["intervals"] for name in each["due"]}))
        return [Line("hyperparameters", "fair", f"{names} took effect in all {count} intervals")]
    text = "; ".join(
        f"{name} was another in {len(of)} of {count} intervals ({of[0]})"
        for name, of in sorted(faults.items())
    )
    return [Line("hyperparameters", "flaw", text)]


def _took_effect(name: str, low: float, high: float, used: Mapping[str, float], draws: int) -> bool:
    """Whether what was seen fits what was due. Bounds for what is drawn hold `draws` times; where
    nothing is wrong they fail less than once in a million intervals."""
    if name == "crop_area":
        # Areas are uniform from the hyperparameter to 1, but sides are whole pixels.
        return low - 0.07 <= used["min"] <= low + 0.07 + (1 - low) * 25 / draws
    if name == "erasing":
        return abs(used["mean"] - high) <= 5 * math.sqrt(high * (1 - high) / draws) + 0.02
    return math.isclose(used["min"], low, rel_tol=1e-6) and math.isclose(
        used["max"], high, rel_tol=1e-6
    )


def settings_of_intervals(found: Mapping[str, Any]) -> list[Line]:
    """What each member of a population trained with; a line for neighbouring rounds that were due
    the same."""
    parts: list[list[Mapping[str, Any]]] = []
    for each in sorted(found.get("intervals", ()), key=lambda i: (i["member"], i["round"])):
        if parts and _goes_on(parts[-1][-1], each):
            parts[-1].append(each)
        else:
            parts.append([each])
    return [_settings_of(part) for part in parts]


def _goes_on(last: Mapping[str, Any], interval: Mapping[str, Any]) -> bool:
    """Whether a member's interval follows its last with the same hyperparameters."""
    same = all(last[key] == interval[key] for key in ("member", "due"))
    return same and bool(interval["round"] == last["round"] + 1)


def _settings_of(part: Sequence[Mapping[str, Any]]) -> Line:
    rounds = span((each["round"] for each in part), "d")
    told: list[str] = []
    finding: Finding = "fair"
    for name, (low, high) in part[0]["due"].items():
        all_used = [each["used"].get(name) for each in part]
        used = [each for each in all_used if each is not None]
        wrong = len(used) < len(part) or not all(
            _took_effect(name, low, high, seen, each["updates"])
            for seen, each in zip(used, part, strict=True)
        )
        if wrong:
            finding = "flaw"
        told.append(f"{name} {_seen_as(name, used)}{_due(name, low, high) if wrong else ''}")
    about = f"member {part[0]['member']}, round{'s' if ' ' in rounds else ''} {rounds}"
    return Line(about, finding, ", ".join(told))


def _seen_as(name: str, used: Sequence[Mapping[str, float]]) -> str:
    """What a witness saw of a hyperparameter, in words."""
    if not used:
        return "nothing"
    if name == "crop_area":
        return f"from {min(each['min'] for each in used):.2f}"
    if name == "erasing":
        return f"in {sum(each['mean'] for each in used) / len(used):.0%} of the images"
    return span([end for each in used for end in (each["min"], each["max"])], ".4g")


def _due(name: str, low: float, high: float) -> str:
    return f" (due {high:.0%})" if name == "erasing" else f" (due {span((low, high), '.4g')})"
