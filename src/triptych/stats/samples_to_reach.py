"""How many samples two arms need for the same score, and the ratio of these numbers.

A run's curve is its score at some numbers of samples. A score counts as reached where the running
best first comes to it, on a straight line between the evaluation before and the one that shows it.
What a curve cannot tell stays a bound: a score that the first evaluation already shows took *at
most* so many samples, and one that no evaluation shows takes *more than* the run had. A curve that
flattens lies above the straight line, which therefore asks too many samples of it; by most between
the first two evaluations, and in proportion more of the faster arm, so that a ratio that rests on
these is probably nearer to 1 than the truth.

Numbers of samples are positive and spread by factors, so arms are compared by the means of their
logarithms: the ratio is that of geometric means, its interval Welch's (or Student's, of pairs) on
logarithms. Swapping the arms gives the reciprocal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from triptych.stats.intervals import Floats, paired_seed_difference, seed_difference
from triptych.stats.verdicts import FEWEST_SEEDS

SHARES = (0.5, 0.75, 0.9)
"""The scores at which arms are compared lie so far on the way from the worse first evaluation of
both arms to the worse best, each a mean over seeds. To the end of it a seed in two would not get.
"""

Bound = Literal["exact", "at most", "more than"]
Kind = Literal["estimate", "at least", "at most"]


@dataclass(frozen=True)
class Curve:
    """One run's evaluations. ValueError where there is none, or samples do not increase."""

    samples: tuple[float, ...]
    """Trained on before each evaluation."""
    scores: tuple[float | None, ...]
    """None where a score was not finite, as after a divergence: nothing is reached there."""

    def __post_init__(self) -> None:
        if len(self.samples) != len(self.scores) or not self.samples:
            raise ValueError("a curve has as many scores as numbers of samples, at least one")
        if self.samples[0] <= 0 or np.any(np.diff(self.samples) <= 0):
            raise ValueError("a curve's numbers of samples are positive and increase")


@dataclass(frozen=True)
class Reached:
    """The samples that one run needs for a score."""

    samples: float
    bound: Bound = "exact"
    early: bool = False
    """Whether it lies between the first two evaluations, where a straight line errs most."""


@dataclass(frozen=True)
class Way:
    """The scores that both of two arms go through, as means over their seeds."""

    weaker: Literal["arm", "baseline"]
    """The arm that comes to the worse best."""
    start: float
    """The worse score of both at their first evaluations."""
    best: float
    """The best of the weaker arm."""

    def target(self, share: float) -> float:
        return self.start + share * (self.best - self.start)


@dataclass(frozen=True)
class SampleRatio:
    """Samples of the baseline over samples of the arm, for one score."""

    target: float
    arm: tuple[Reached, ...]
    """By seed."""
    baseline: tuple[Reached, ...]
    kind: Kind | None
    """Whether the ratio is an estimate, or a bound because runs hold bounds; None where these point
    in both directions and nothing follows."""
    ratio: float | None
    """Of geometric means over seeds; a bound where the runs' bounds stand for what they bound."""
    low: float | None
    """Ends of the interval; a bound has one end only."""
    high: float | None
    level: float
    method: str | None
    reason: str | None
    """Why there is no interval, or no ratio."""


def running_best(curve: Curve, higher_is_better: bool = True) -> Floats:
    """The best score so far at every evaluation (K,), negated where lower is better; before the
    first finite score, minus infinity."""
    sign = 1.0 if higher_is_better else -1.0
    known = [
        sign * score if score is not None and math.isfinite(score) else -math.inf
        for score in curve.scores
    ]
    return np.maximum.accumulate(np.array(known, dtype=np.float64))


def reached(curve: Curve, target: float, higher_is_better: bool = True) -> Reached:
    """The samples after which a run's running best comes to `target`."""
    best = running_best(curve, higher_is_better)
    goal = target if higher_is_better else -target
    if best[-1] < goal:
        return Reached(float(curve.samples[-1]), "more than")
    at = int(np.argmax(best >= goal))
    if at == 0 or not math.isfinite(best[at - 1]):
        return Reached(float(curve.samples[at]), "at most")
    before, after = curve.samples[at - 1], curve.samples[at]
    share = (goal - best[at - 1]) / (best[at] - best[at - 1])
    early = at == 1 or not math.isfinite(best[at - 2])
    return Reached(float(before + share * (after - before)), early=early)


def way_of(
    arm: Sequence[Curve], baseline: Sequence[Curve], higher_is_better: bool = True
) -> Way | None:
    """The scores that both arms go through; None where a run has no finite score, or the weaker
    arm got no better after its first evaluation."""
    sign = 1.0 if higher_is_better else -1.0
    starts, ends = [], []
    for curves in (arm, baseline):
        bests = [running_best(curve, higher_is_better) for curve in curves]
        if any(best[-1] == -math.inf for best in bests):
            return None
        firsts = [best[best > -math.inf][0] for best in bests]
        starts.append(float(np.mean(firsts)))
        ends.append(float(np.mean([best[-1] for best in bests])))
    start, best = min(starts), min(ends)
    if best <= start:
        return None
    return Way("arm" if ends[0] < ends[1] else "baseline", sign * start, sign * best)


def sample_ratio(
    arm: Sequence[Curve],
    baseline: Sequence[Curve],
    target: float,
    *,
    higher_is_better: bool = True,
    paired: bool = False,
    level: float = 0.95,
) -> SampleRatio:
    """How many times the samples of the arm the baseline needs for a score.

    The interval is over seeds, from 3 in each arm. Where runs give bounds, these stand for what
    they bound: of the ratio that comes out, and of its interval, only the end holds that the
    missing samples could not have moved to the other side.
    """
    ours = tuple(reached(curve, target, higher_is_better) for curve in arm)
    theirs = tuple(reached(curve, target, higher_is_better) for curve in baseline)
    kind = _kind(ours, theirs)
    if kind is None:
        why = _why_unknown({each.bound for each in (*ours, *theirs)})
        return SampleRatio(target, ours, theirs, None, None, None, None, level, None, why)
    a, b = (np.log([each.samples for each in side]) for side in (ours, theirs))
    ratio = math.exp(b.mean() - a.mean())
    low: float | None = None
    high: float | None = None
    method: str | None = None
    reason: str | None = None
    if min(a.size, b.size) < FEWEST_SEEDS:
        reason = f"fewer than {FEWEST_SEEDS} seeds: no interval"
    else:
        try:
            found = (paired_seed_difference if paired else seed_difference)(b, a, level)
        except ValueError as error:
            reason = str(error)
        else:
            low = None if kind == "at most" else math.exp(found.low)
            high = None if kind == "at least" else math.exp(found.high)
            method = f"{found.method}, on logarithms"
    return SampleRatio(target, ours, theirs, kind, ratio, low, high, level, method, reason)


def _why_unknown(bounds: set[Bound]) -> str:
    if bounds == {"more than"}:
        return "no seed of either reached it"
    if bounds == {"at most"}:
        return "every seed of both had it at the first evaluation"
    return "what is not known of the runs could make the ratio larger or smaller"


def _kind(arm: Sequence[Reached], baseline: Sequence[Reached]) -> Kind | None:
    """What the runs' bounds make of the ratio baseline / arm."""
    of_arm, of_baseline = ({each.bound for each in side} for side in (arm, baseline))
    larger = "more than" in of_baseline or "at most" in of_arm
    smaller = "at most" in of_baseline or "more than" in of_arm
    if larger and smaller:
        return None
    return "at least" if larger else "at most" if smaller else "estimate"


def shown(ratios: Sequence[SampleRatio]) -> int | None:
    """Which ratio, of scores in order of difficulty, answers best: the last that is an estimate,
    so that every seed of both arms reached its score; else the last that is a bound."""
    for kinds in (("estimate",), ("at least", "at most")):
        for index in reversed(range(len(ratios))):
            if ratios[index].kind in kinds:
                return index
    return None


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive numbers."""
    return math.exp(sum(map(math.log, values)) / len(values))
