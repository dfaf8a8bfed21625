"""The tables of a comparison, as Markdown for readers and as CSV for programs.

Everything comes out of the record that `verdict.json` holds; nothing is left out of a table
because a run failed, diverged or is missing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from triptych.compare.describe import is_settled
from triptych.report.words import (
    NOTHING,
    count,
    differing,
    escape,
    interval,
    probability,
    score,
    seconds_range,
    signed,
    spread,
    unit,
)

Verdict = Mapping[str, Any]
Value = str | int | float | None

MOST_GROUPS = 12
"""Up to which the difference in every one is read in the table of pairs; all are in the CSV."""


@dataclass(frozen=True)
class Table:
    """A table to read, and the same facts with one value in each field."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Texts, as many in each row as the header has."""
    data: tuple[Mapping[str, Value], ...]
    """The same names in each record, for `to_csv`; numbers at full precision."""

    def to_markdown(self) -> str:
        """A table as GitHub's Markdown has it; whatever a cell holds stays in its cell."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        return "".join(f"| {' | '.join(map(escape, line))} |\n" for line in lines)

    def to_csv(self) -> str:
        """Comma-separated records under a line of names; an unknown value is an empty field."""
        text = io.StringIO()
        names = list(self.data[0]) if self.data else []
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.data)
        return text.getvalue()


def is_fixed(verdict: Verdict) -> bool:
    """Whether the arms are fixed predictions, which have no seeds."""
    return bool(verdict["plan"]["kind"] == "fixed predictions")


def arms_of(verdict: Verdict) -> list[str]:
    """The arms in the order in which the pairs name them, baselines first.

    A verdict that was read from its file has them in no such order.
    """
    judged = [pair[role] for pair in verdict["pairs"] for role in ("baseline", "arm")]
    return list(dict.fromkeys([*judged, *sorted(verdict["arms"])]))


def arms_table(verdict: Verdict) -> Table:
    """What every arm scored and cost, and how its cells ended.

    Where seeds were added after the plan, the score of the plan's seeds and that of all seeds
    stand in columns of their own.
    """
    metric = verdict["metric"]
    if is_fixed(verdict):
        return _fixed_arms(verdict)
    extended = "exploratory" in verdict
    titles = [f"{metric}, mean ± std (n), {unit(metric)}"]
    if extended:
        titles += ["exploratory: the same with added seeds"]
    header = ("arm", *titles, "cells", *_COSTS.values(), "time, s a seed")
    rows, data = [], []
    for name in arms_of(verdict):
        arm = verdict["arms"][name]
        planned, every = planned_scores(verdict, name), _present(arm["scores"].values())
        seconds = [float(value) for value in verdict["times"].get(name, {}).values()]
        cells = Cells.of(verdict, name)
        rows.append(
            (
                name,
                spread(planned),
                *([spread(every)] if extended else []),
                cells.text(),
                *[count(arm["cost"].get(key)) for key in _COSTS],
                seconds_range(seconds),
            )
        )
        data.append(
            {
                "arm": name,
                "metric": metric,
                **_moments("", planned),
                **(_moments("exploratory_", every) if extended else {}),
                **cells.as_record(),
                **{key: _joined(arm["cost"].get(key)) for key in _COSTS},
                "seconds_low": min(seconds, default=None),
                "seconds_high": max(seconds, default=None),
            }
        )
    return Table(header, tuple(rows), tuple(data))


_COSTS = {
    "parameters": "parameters",
    "MACs": "MACs an image",
    "samples": "samples trained on",
    "updates": "updates",
    "training_GFLOP": "training, GFLOP",
}


@dataclass(frozen=True)
class Cells:
    """How the cells of one arm ended, by seed."""

    states: Mapping[str, str]
    needless: bool
    """Whether cells are missing because a sequential plan was decided, or ended, without them."""

    @classmethod
    def of(cls, verdict: Verdict, arm: str) -> Cells:
        return cls(verdict["arms"][arm]["states"], is_settled(verdict))

    def seeds(self, kind: str) -> list[str]:
        """The seeds whose cell is in a state: done, diverged, failed, begun, missing."""
        found = [seed for seed, state in self.states.items() if state.partition(":")[0] == kind]
        return sorted(found, key=int)

    def text(self) -> str:
        """Such as `2 done, 1 diverged (seed 2)`."""
        words = {"missing": "not needed" if self.needless else "missing", "begun": "unfinished"}
        parts = []
        for kind in ("done", "diverged", "failed", "begun", "missing"):
            if found := self.seeds(kind):
                where = "" if kind == "done" else f" (seed {', '.join(found)})"
                parts.append(f"{len(found)} {words.get(kind, kind)}{where}")
        return ", ".join(parts)

    def as_record(self) -> dict[str, Value]:
        kinds = ("done", "diverged", "failed", "begun", "missing")
        return {kind: len(self.seeds(kind)) for kind in kinds}


def planned_scores(verdict: Verdict, arm: str) -> list[float]:
    """The scores of an arm's cells that the plan asked for and that have one.

    Of a sequential plan, those that the pairs are judged by, once there are enough.
    """
    plan, scores = verdict["plan"], verdict["arms"][arm]["scores"]
    return _present(scores.get(str(seed)) for seed in plan.get("shown", plan["seeds"]))


def _present(scores: Any) -> list[float]:
    return [float(score) for score in scores if score is not None]


def _moments(prefix: str, scores: Sequence[float]) -> dict[str, Value]:
    return {
        f"{prefix}mean": float(np.mean(scores)) if scores else None,
        f"{prefix}std": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        f"{prefix}n": len(scores),
    }


def _fixed_arms(verdict: Verdict) -> Table:
    metric, arms = verdict["metric"], verdict["arms"]
    groups = sorted({group for arm in arms.values() for group in arm["by_group"] or {}})
    what = any("what" in arm for arm in arms.values())
    rows, data = [], []
    for name in arms_of(verdict):
        arm = arms[name]
        by_group = arm["by_group"] or {}
        each = [by_group.get(group) for group in groups]
        first = {"arm": name} | ({"what": arm["what"]} if what else {})
        numbers = (score(arm["score"]), f"{arm['items']:,}", *map(score, each))
        rows.append((*first.values(), *numbers))
        data.append(
            first
            | {"metric": metric, "score": arm["score"], "items": arm["items"]}
            | {f"{metric} on {group}": value for group, value in zip(groups, each, strict=True)}
        )
    header = (
        "arm",
        *(["what"] if what else []),
        f"{metric}, {unit(metric)}",
        "items",
        *[f"{metric} on {g}" for g in groups],
    )
    return Table(header, tuple(rows), tuple(data))


def pairs_table(verdict: Verdict) -> Table:
    """What every declared pair says: arm minus baseline.

    What seeds that were added after the plan say comes below the verdicts, and each such row is
    marked exploratory: in its first field, and where a verdict would stand.
    """
    if is_fixed(verdict):
        return _fixed_pairs(verdict)
    extension = verdict.get("exploratory")
    judged = [("plan", pair) for pair in verdict["pairs"]]
    judged += [("exploratory", pair) for pair in (extension or {}).get("pairs", [])]
    metric, several = verdict["metric"], len(verdict["pairs"]) > 1
    groups = list(dict.fromkeys(group for _, pair in judged for group in _by_group(pair)))
    header = (
        *(["judged on"] if extension else []),
        "arm against baseline",
        f"{metric} difference, {unit(metric)}",
        "interval (level)",
        *(["interval, all pairs together (level)"] if several else []),
        "verdict on this test set",
        "why",
        "p of a difference, adjusted",
        "p of equivalence, adjusted",
        "new items",
        *(["difference by group"] if groups else []),
        "what differs: baseline → arm",
        "method",
    )
    rows = [_pair_row(verdict, pair, standing, bool(groups)) for standing, pair in judged]
    data = [_pair_record(verdict, pair, standing, groups) for standing, pair in judged]
    return Table(header, tuple(rows), tuple(data))


def _by_group(pair: Verdict) -> Mapping[str, float]:
    """The metric's difference in every group (drive) of a pair of recipes; empty without groups."""
    return (pair["new_items"] or {}).get("by_group") or {}


def _in_words(by_group: Mapping[str, float]) -> str:
    """Each group's difference, or the lowest and the highest where they are many."""
    if len(by_group) <= MOST_GROUPS:
        return "; ".join(f"{name}: {signed(each)}" for name, each in by_group.items()) or NOTHING
    low, high = min(by_group, key=by_group.__getitem__), max(by_group, key=by_group.__getitem__)
    return (
        f"{signed(by_group[low])} ({low}) to {signed(by_group[high])} ({high}), "
        f"{len(by_group)} in all"
    )


def _pair_row(verdict: Verdict, pair: Verdict, standing: str, grouped: bool) -> tuple[str, ...]:
    new, word = pair["new_items"], pair["verdict"]
    seen = pair["interval"]
    first = []
    if "exploratory" in verdict:
        seeds = (verdict["plan"] if standing == "plan" else verdict["exploratory"])["seeds"]
        first = [f"{standing}: seeds {', '.join(map(str, seeds))}"]
    return (
        *first,
        f"{pair['arm']} against {pair['baseline']}",
        signed(seen["difference"]) if seen else NOTHING,
        interval(seen),
        *([interval(pair["adjusted_interval"])] if len(verdict["pairs"]) > 1 else []),
        word if standing == "plan" else f"none; exploratory: {word}",
        "; ".join([pair["reason"], *pair["warnings"]]),
        probability(pair["p_difference_adjusted"]),
        probability(pair["p_equivalence_adjusted"]),
        f"{new['new_items']}: {new['sentence']}" if new else NOTHING,
        *([_in_words(_by_group(pair))] if grouped else []),
        differing(pair["differs"]),
        pair["method"],
    )


def _pair_record(
    verdict: Verdict, pair: Verdict, standing: str, groups: Sequence[str]
) -> dict[str, Value]:
    seen, wide = pair["interval"] or {}, pair["adjusted_interval"] or {}
    new, needed = pair["new_items"] or {}, pair["seeds_needed"] or {}
    return {
        "judged_on": standing,
        "arm": pair["arm"],
        "baseline": pair["baseline"],
        "metric": verdict["metric"],
        "margin": verdict["margin"],
        **{key: seen.get(key) for key in ("difference", "low", "high", "level")},
        **{f"adjusted_{key}": wide.get(key) for key in ("low", "high", "level")},
        "verdict": pair["verdict"],
        "reason": pair["reason"],
        "warnings": "; ".join(pair["warnings"]),
        "exceeds_margin": str(pair["exceeds_margin"]).lower(),
        **{
            f"p_{kind}{end}": pair[f"p_{kind}{end}"]
            for end in ("", "_adjusted")
            for kind in ("difference", "equivalence")
        },
        "new_items": new.get("new_items"),
        "new_items_sentence": new.get("sentence"),
        **{f"difference on {group}": _by_group(pair).get(group) for group in groups},
        "seeds_needed": needed.get("seeds"),
        "differs": differing(pair["differs"]),
        "method": pair["method"],
    }


def _fixed_pairs(verdict: Verdict) -> Table:
    metric, pairs = verdict["metric"], verdict["pairs"]
    groups = sorted({group for pair in pairs for group in pair["by_group"] or {}})
    rows, data = [], []
    for pair in pairs:
        seen, by_group = pair["interval"], pair["by_group"] or {}
        each = [by_group.get(group) for group in groups]
        rows.append(
            (
                f"{pair['arm']} against {pair['baseline']}",
                signed(pair["difference"]),
                *[signed(value) for value in each],
                interval(seen),
                pair["new_items"],
                pair["sentence"],
                seen["method"] if seen else NOTHING,
            )
        )
        data.append(
            {
                "arm": pair["arm"],
                "baseline": pair["baseline"],
                "metric": metric,
                "difference": pair["difference"],
                **{f"difference on {g}": value for g, value in zip(groups, each, strict=True)},
                **{key: (seen or {}).get(key) for key in ("low", "high", "level")},
                "new_items": pair["new_items"],
                "sentence": pair["sentence"],
                "method": (seen or {}).get("method"),
            }
        )
    header = (
        "arm against baseline",
        f"{metric} difference, {unit(metric)}",
        *[f"difference on {group}" for group in groups],
        "interval (level)",
        "new items",
        "in words",
        "method",
    )
    return Table(header, tuple(rows), tuple(data))


def audit_table(verdict: Verdict) -> Table:
    """What the audit looked at and found: fair, flaw, differs or unknown."""
    marks = {"fair": "fair", "flaw": "FLAW", "differs": "DIFFERS", "unknown": "unknown"}
    lines = (*verdict["audit"], *verdict.get("fixed", {"audit": ()})["audit"])
    rows = tuple((line["about"], marks[line["finding"]], line["text"]) for line in lines)
    return Table(("audit of", "finding", "what was measured"), rows, lines)


def _joined(value: Any) -> Value:
    if isinstance(value, list):
        return " ".join("" if each is None else str(each) for each in value)
    found: Value = value
    return found
