"""The table of the samples that arms need for a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.compare.reach_words import factor
from triptych.report.tables import Table, Value, Verdict
from triptych.report.words import NOTHING, percent, score
from triptych.stats.samples_to_reach import geometric_mean

HEADER = (
    "arm against baseline",
    "score to reach",
    "samples, arm",
    "samples, baseline",
    "epochs, arm",
    "epochs, baseline",
    "time, s, arm",
    "time, s, baseline",
    "samples, baseline / arm",
    "interval (level)",
)
ROLES = ("arm", "baseline")
_SIGNS = {"exact": "", "at most": "≤ ", "more than": "> "}


def reach_table(verdict: Verdict) -> Table | None:
    """A row for every pair and score; None where no pair has curves
    to read them off.

    A number is a geometric mean over seeds; with ≤ or > it is one of bounds.
    """
    rows, data = [], []
    for standing, pair in _pairs(verdict):
        found = pair.get("samples_to_reach") or {"scores": ()}
        scores = [*found["scores"], *found.get("asked", ())]
        for index, each in enumerate(scores):
            each = dict(each) | {role: _timed(verdict, pair, each, role) for role in ROLES}
            rows.append(_row(pair, found, each, index == found["shown"]))
            data.append(_record(standing, pair, found, each, index == found["shown"]))
    return Table(HEADER, tuple(rows), tuple(data)) if rows else None


def _pairs(verdict: Verdict) -> list[tuple[str, Verdict]]:
    added = verdict.get("exploratory", {"pairs": ()})["pairs"]
    return [("plan", p) for p in verdict["pairs"]] + [("exploratory", p) for p in added]


def _timed(verdict: Verdict, pair: Verdict, each: Verdict, role: str) -> dict[str, Any]:
    """One arm's side with seconds: of each run's, the share that the samples are."""
    side, times = each[role], verdict["times"].get(pair[role], {})
    seconds = [share * times.get(seed, 0) for seed, share in side["share_of_run"].items()]
    return dict(side) | {"mean_seconds": geometric_mean(seconds) if all(seconds) else None}


def _row(pair: Verdict, found: Verdict, each: Verdict, shown: bool) -> tuple[str, ...]:
    sides = (each["arm"], each["baseline"])
    kind = {"at least": "≥ ", "at most": "≤ "}.get(each["kind"], "")
    share = "as asked" if each["share"] is None else f"{each['share']:.0%} of the way"
    mark = " (shown)" if shown else ""
    return (
        f"{pair['arm']} against {pair['baseline']}",
        f"{found['metric']} {score(each['target'])}, {share}{mark}",
        *[
            _sign(side) + _number(side[f"mean_{what}"], digits)
            for what, digits in (("samples", 0), ("epochs", 1), ("seconds", 0))
            for side in sides
        ],
        NOTHING if each["ratio"] is None else kind + factor(each["ratio"]),
        _interval(each),
    )


def _sign(side: Mapping[str, Any]) -> str:
    """Of a mean over seeds: that of their bounds, where they point in one direction."""
    bounds = set(side["bound"].values()) - {"exact"}
    if len(bounds) > 1:
        return "≈ "
    return _SIGNS[bounds.pop()] if bounds else ""


def _number(value: float | None, digits: int) -> str:
    """Below 10 with two digits: brief trainings take less than a second."""
    if value is None:
        return NOTHING
    return f"{value:.2g}" if digits == 0 and value < 9.5 else f"{value:,.{digits}f}"


def _interval(each: Verdict) -> str:
    low, high = each["low"], each["high"]
    if low is None and high is None:
        return "none"
    level = f"({percent(each['level'])})"
    if low is None:
        return f"at most {factor(high)} {level}"
    return (
        f"at least {factor(low)} {level}"
        if high is None
        else (f"{factor(low)} to {factor(high)} {level}")
    )


def _record(
    standing: str, pair: Verdict, found: Verdict, each: Verdict, shown: bool
) -> dict[str, Value]:
    record: dict[str, Value] = {
        "judged_on": standing,
        "arm": pair["arm"],
        "baseline": pair["baseline"],
        "metric": found["metric"],
        "split": found["split"],
        "share": each["share"],
        "score": each["target"],
        "shown": str(shown).lower(),
        **{key: each[key] for key in ("kind", "ratio", "low", "high", "level", "method", "reason")},
    }
    for role in ROLES:
        side = each[role]
        seeds = sorted(side["samples"], key=int)
        by_seed = [_SIGNS[side["bound"][s]].strip() + f"{side['samples'][s]:.0f}" for s in seeds]
        record[f"{role}_samples_by_seed"] = " ".join(by_seed)
        for what in ("samples", "epochs", "seconds"):
            record[f"{role}_{what}"] = side[f"mean_{what}"]
    return record
