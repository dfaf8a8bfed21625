"""Score against what was spent for it: samples, compute, time; and where two arms' curves cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triptych.compare.curves import Point, curve_metric, evaluation_split
from triptych.compare.folder import cell
from triptych.report.figures import MARKERS, colour_of, line_of
from triptych.report.style import SOFT, WIDTH, styled
from triptych.report.tables import Verdict, arms_of
from triptych.report.words import score, unit
from triptych.run import read_result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BUDGETS = {
    "samples": "samples trained on",
    "GFLOP": "training, GFLOP",
    "seconds": "training time, s",
}
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mean:
    """An arm's mean score over seeds along one budget, and the lowest and highest seed.

    Only where all seeds of the arm have a score: where those that diverged drop out, a mean over
    the rest would jump and cross others without anything having been learnt.
    """

    at: Floats
    mean: Floats
    low: Floats
    high: Floats
    alone: tuple[tuple[Floats, Floats], ...] = ()
    """Of each seed that goes on after others of its arm ended: where, and its scores."""


@dataclass(frozen=True)
class Crossing:
    """Where the mean curves of two arms cross, and who leads after it."""

    budget: str
    arm: str
    other: str
    at: float
    score: float


def spent(
    folder: Path, verdict: Verdict, points: Sequence[Point]
) -> tuple[dict[str, dict[str, Mean]], str | None]:
    """Budget → arm → curve, for the budgets that are known of all arms that have a curve; and the
    split on which the scores are.

    A seed of which there is no score yet is not waited for, unless it diverged before it had one.
    """
    split = evaluation_split(points)
    metric = curve_metric(verdict["metric"])
    chosen = [p for p in points if (p.split, p.metric) == (split, metric) and p.score is not None]
    found: dict[str, dict[str, Mean]] = {}
    for budget in BUDGETS:
        curves = {}
        for arm in arms_of(verdict):
            mine = [p for p in chosen if p.arm == arm and p.samples is not None]
            rate = _rate(folder, verdict, arm, budget)
            if not mine or rate is None:
                continue
            states = verdict["arms"][arm]["states"]
            diverged = [int(seed) for seed, state in states.items() if state == "diverged"]
            curves[arm] = _mean(mine, diverged, rate)
        if curves and set(curves) == {p.arm for p in chosen}:
            found[budget] = curves
    return found, split


def _mean(points: Sequence[Point], diverged: Sequence[int], rate: float) -> Mean:
    """The curve of one arm from the points that have scores; a sample costs `rate`."""
    seeds: dict[int, dict[int, tuple[float, float]]] = {seed: {} for seed in diverged}
    for point in points:  # the last word counts where an epoch was scored twice
        place = rate * (point.samples or 0), point.score or 0.0
        seeds.setdefault(point.seed, {})[point.epoch] = place
    shared = sorted(set.intersection(*(set(of) for of in seeds.values())))
    both = np.array([[of[epoch] for epoch in shared] for of in seeds.values()], np.float64)
    at, scores = np.moveaxis(both.reshape(len(seeds), len(shared), 2), 2, 0)
    last = shared[-1] if shared else -1
    alone = []
    for of in seeds.values():
        # From the end of the mean on, so that no gap is left before a seed's first point alone.
        rest = [of[epoch] for epoch in sorted(of) if epoch >= last]
        if max(of, default=-1) > last:
            ats, theirs = np.array(rest, np.float64).T
            alone.append((ats, theirs))
    return Mean(
        at.mean(axis=0), scores.mean(axis=0), scores.min(axis=0), scores.max(axis=0), tuple(alone)
    )


def _rate(folder: Path, verdict: Verdict, arm: str, budget: str) -> float | None:
    """How much of a budget a sample costs: a mean over the arm's runs that have ended."""
    if budget == "samples":
        return 1.0
    rates = []
    for seed in verdict["arms"][arm]["states"]:
        result = read_result(cell(folder, arm, int(seed)))
        if result is None or not result.get("samples"):
            continue
        whole = result.get("training_GFLOP") if budget == "GFLOP" else _seconds(result)
        if whole is None:
            return None
        rates.append(whole / result["samples"])
    return float(np.mean(rates)) if rates else None


def _seconds(result: Mapping[str, Any]) -> float | None:
    seconds = result.get("times", {}).get("seconds")
    return None if seconds is None else float(seconds)


def crossings(curves: Mapping[str, Mapping[str, Mean]]) -> list[Crossing]:
    """Where mean curves cross, on straight lines between evaluations, in the range of both."""
    found = []
    for budget, arms in curves.items():
        for one, other in combinations(arms, 2):
            a, b = arms[one], arms[other]
            if not len(a.at) or not len(b.at):
                continue
            low, high = max(a.at[0], b.at[0]), min(a.at[-1], b.at[-1])
            places = np.unique(np.concatenate([a.at, b.at, [low, high]]))
            places = places[(places >= low) & (places <= high)]
            if len(places) < 2:
                continue
            gap = np.interp(places, a.at, a.mean) - np.interp(places, b.at, b.mean)
            # Where means are the same at evaluations, the first of these is where they cross.
            apart = np.flatnonzero(gap)
            for k, after in zip(apart[:-1].tolist(), apart[1:].tolist(), strict=True):
                if gap[k] * gap[after] > 0:
                    continue
                share = gap[k] / (gap[k] - gap[k + 1])
                at = float(places[k] + share * (places[k + 1] - places[k]))
                leader = (one, other) if gap[after] > 0 else (other, one)
                found.append(Crossing(budget, *leader, at, float(np.interp(at, a.at, a.mean))))
    return found


def crossing_rows(found: Sequence[Crossing], higher: bool) -> list[tuple[str, ...]]:
    """Rows of a table; the first arm leads from there on."""
    rows: list[tuple[str, ...]] = []
    for each in found:
        leader, other = (each.arm, each.other) if higher else (each.other, each.arm)
        place = f"{each.at:,.0f}" if each.at >= 100 else f"{each.at:,.3g}"
        rows.append((leader, other, BUDGETS[each.budget], place, score(each.score)))
    return rows


def budget_figure(
    curves: Mapping[str, Mapping[str, Mean]],
    metric: str,
    split: str,
    places: Mapping[str, int],
) -> Figure | None:
    """A panel a budget: the arms' mean scores with bands over seeds; a diamond where two cross.

    Where a seed of an arm ended early, its mean ends too and the others go on as thin lines.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    if not curves:
        return None
    arms = list(dict.fromkeys(arm for each in curves.values() for arm in each))
    columns = max(1, min(len(arms), 4, int(WIDTH / (0.088 * max(map(len, arms)) + 0.85))))
    crossed = crossings(curves)
    notes = _notes(curves, bool(crossed))
    foot = 0.14 + 0.16 * len(notes) + 0.216 * -(-len(arms) // columns)
    height = 3.0 + foot
    count = len(curves)
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        handles: dict[str, Any] = {}
        for index, (budget, of) in enumerate(curves.items()):
            width = (0.92 - 0.06 * (count - 1)) / count
            left = 0.07 + index * (width + 0.06)
            axes = figure.add_axes((left, (foot + 0.5) / height, width, 2.2 / height))
            for arm, curve in of.items():
                colour, place = colour_of(places[arm]), places[arm]
                axes.fill_between(curve.at, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
                (handles[arm],) = axes.plot(
                    curve.at,
                    curve.mean,
                    color=colour,
                    linestyle=line_of(place),
                    marker=MARKERS[place % len(MARKERS)] if len(curve.at) <= 12 else None,
                    markersize=4,
                )
                for at, scores in curve.alone:
                    axes.plot(at, scores, color=colour, linewidth=0.8, alpha=0.7)
            for each in crossed:
                if each.budget == budget:
                    axes.plot(each.at, each.score, "D", color=SOFT, fillstyle="none", ms=8, mew=1.5)
            axes.set_xlabel(BUDGETS[budget], fontsize=9)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
            axes.tick_params(labelsize=8, labelleft=index == 0)
            axes.grid(True, color="#E5E5E5", linewidth=0.8)
            axes.set_axisbelow(True)
            if index == 0:
                axes.set_title(f"{metric} on {split} ({unit(metric)})", loc="left", fontsize=10)
        figure.legend(
            [handles[arm] for arm in arms],
            arms,
            loc="lower center",
            bbox_to_anchor=(0.5, (0.1 + 0.16 * len(notes)) / height),
            ncols=columns,
            handlelength=3.0,
            borderpad=0,
        )
        for index, note in enumerate(reversed(notes)):
            above = (0.06 + 0.16 * index) / height
            figure.text(0.5, above, note, ha="center", fontsize=9, color=SOFT)
    return figure


def _notes(curves: Mapping[str, Mapping[str, Mean]], crossed: bool) -> list[str]:
    """What one must know to read the figure, a line each."""
    diamond = "; diamond: two arms' means cross" if crossed else ""
    if not any(curve.alone for of in curves.values() for curve in of.values()):
        return [f"line: mean over seeds; band: lowest to highest seed{diamond}"]
    return [
        f"line: mean over seeds as far as all of the arm came; band: lowest to highest{diamond}",
        "thin: single seeds, where others of their arm did not come as far",
    ]


def _short(value: float) -> str:
    """1,500,000 as 1.5M."""
    for least, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= least:
            return f"{value / (1e3 if letter == 'k' else least):g}{letter}"
    return f"{value:g}"
