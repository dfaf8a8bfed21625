"""Verdicts of a comparison over seeds: better, worse, equivalent or undecided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from triptych.stats.intervals import (
    PAIRED,
    WELCH,
    Floats,
    Interval,
    Scores,
    as_scores,
    constant,
    p_of_difference,
    p_of_equivalence,
    paired,
    t_interval,
    welch,
)

Verdict = Literal["better", "worse", "equivalent", "undecided"]

FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Comparand:
    """An arm and what it is compared with: one score a seed, and how many runs diverged.

    A diverged run keeps its measured score (chance level where that is NaN) and stays in a or b.
    """

    name: str
    baseline: str
    a: Scores
    b: Scores
    diverged_a: int = 0
    diverged_b: int = 0

    def __post_init__(self) -> None:
        for name, scores, diverged in (
            (self.name, self.a, self.diverged_a),
            (self.baseline, self.b, self.diverged_b),
        ):
            if not 0 <= diverged <= as_scores(scores, name).size:
                raise ValueError(f"{name}: {diverged} of {len(scores)} runs cannot have diverged")


@dataclass(frozen=True)
class Judgement:
    """What the seeds say about an arm and its baseline, on this test set.

    Everything that is a number is None where there is no verdict to be had (`reason` says why).
    Under the sequential plan the p values already count the looks.
    """

    arm: str
    baseline: str
    verdict: Verdict
    reason: str
    interval: Interval | None
    """At level 1 - alpha; under the sequential plan at the level this look has left."""
    adjusted_interval: Interval | None
    """At level 1 - alpha / k for k comparisons: all k hold together."""
    p_difference: float | None
    p_equivalence: float | None
    p_difference_adjusted: float | None
    p_equivalence_adjusted: float | None
    exceeds_margin: bool
    """Whether the adjusted interval lies wholly beyond the margin, on one side."""
    method: str
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON: no NaN, no infinity, no tuples."""
        return asdict(self) | {"warnings": list(self.warnings)}


@dataclass(frozen=True)
class Evidence:
    """What a plan found in one pair of arms, before other pairs are taken into account."""

    difference: float
    se: float
    df: float
    p_difference: float
    p_equivalence: float
    direction: float
    """Sign of the difference that `p_difference` comes from."""
    share: float = 1.0
    """Part of alpha that the interval of this look may use."""
    early: bool = False
    """Whether the plan could have gone on."""
    warnings: tuple[str, ...] = ()


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values, in the order given.

    Holm (1979), "A simple sequentially rejective multiple test procedure": the smallest of k
    p values is multiplied by k, the next by k - 1, and so on; none falls below one before it.
    """
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def judge(
    pairs: Sequence[Comparand],
    margin: float,
    *,
    paired: bool = False,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> list[Judgement]:
    """Judge the comparisons of a plan whose number of seeds was fixed beforehand.

    All declared comparisons are given at once, also those that cannot be judged: Holm counts
    them. `margin`, in the metric's unit, is the difference below which nothing matters. `paired`
    only where the plan declared it: scores of equal position then belong to the same seed.
    ValueError for a margin that is not above 0 or an alpha that is not a probability.
    """
    check_plan(margin, alpha)
    found = [
        refusal(pair) or evidence_at(as_scores(pair.a), as_scores(pair.b), margin, paired)
        for pair in pairs
    ]
    method = PAIRED if paired else WELCH
    return decide(pairs, found, margin, alpha, higher_is_better, method)


def check_plan(margin: float, alpha: float) -> None:
    """ValueError for what no plan can have."""
    if not 0 < margin < np.inf:
        raise ValueError(f"the margin must be above 0, not {margin}")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, not {alpha}")


def unmoved(scores: Floats) -> bool:
    """Whether all scores (n,) are the same: no deviation, so nothing to judge by."""
    return constant(scores, float(np.abs(scores).max()))


def refusal(pair: Comparand) -> str | None:
    """Why these scores allow no verdict, in one sentence; None where they do."""
    a, b = as_scores(pair.a), as_scores(pair.b)
    if min(a.size, b.size) < FEWEST_SEEDS:
        return f"fewer than {FEWEST_SEEDS} seeds"
    if a.size != b.size:
        return f"unequal numbers of seeds: {a.size} and {b.size}"
    arms = ((pair.name, a), (pair.baseline, b))
    still = [f"of {name} scored {arm[0]:.4f}" for name, arm in arms if unmoved(arm)]
    # Not "the seed changed nothing": a score may be at its floor whatever the seed changed.
    return f"all runs {', all '.join(still)}" if still else None


def evidence_at(a: Floats, b: Floats, margin: float, is_paired: bool = False) -> Evidence | str:
    """The evidence of these scores (n,) looked at once, or why there is none."""
    if is_paired and constant(a - b, float(max(np.abs(a).max(), np.abs(b).max()))):
        return "every seed gave the same difference"
    difference, se, df = paired(a, b) if is_paired else welch(a, b)
    return Evidence(
        float(difference),
        float(se),
        float(df),
        float(p_of_difference(difference, se, df)),
        float(p_of_equivalence(difference, se, df, margin)),
        float(np.sign(difference)),
    )


def decide(
    pairs: Sequence[Comparand],
    found: Sequence[Evidence | str],
    margin: float,
    alpha: float,
    higher_is_better: bool,
    method: str,
) -> list[Judgement]:
    """Adjust for the number of comparisons and give every one its verdict.

    A pair without evidence counts as p = 1: it was declared, so it belongs to the family.
    """
    of_difference = holm([e.p_difference if isinstance(e, Evidence) else 1.0 for e in found])
    of_equivalence = holm([e.p_equivalence if isinstance(e, Evidence) else 1.0 for e in found])
    many = f" over {len(pairs)} comparisons" if len(pairs) > 1 else ""
    adjusted_method = f"{method}, Bonferroni{many}" if many else method
    full_method = f"{method}, Holm{many}" if many else method
    judgements = []
    for pair, evidence, p_diff, p_eq in zip(
        pairs, found, of_difference, of_equivalence, strict=True
    ):
        diverged = _diverged(pair)
        if isinstance(evidence, str):
            judgements.append(_no_verdict(pair, evidence, full_method, diverged))
            continue
        level = 1 - alpha * evidence.share
        level_of_all = 1 - alpha * evidence.share / len(pairs)
        estimate = (evidence.difference, evidence.se, evidence.df)
        wide = t_interval(*estimate, level_of_all, adjusted_method)
        exceeds = wide.low > margin if evidence.direction > 0 else wide.high < -margin
        measurable, inside = p_diff <= alpha, p_eq <= alpha
        verdict: Verdict = "undecided"
        if inside and not diverged:
            verdict = "equivalent"
        elif measurable:
            verdict = "better" if (evidence.direction > 0) == higher_is_better else "worse"
        warnings = diverged + evidence.warnings
        if evidence.early and verdict in ("better", "worse"):
            warnings += ("stopped early: the difference is probably overestimated",)
        judgements.append(
            Judgement(
                arm=pair.name,
                baseline=pair.baseline,
                verdict=verdict,
                reason=_reason(verdict, measurable, inside, exceeds, many),
                interval=t_interval(*estimate, level, method),
                adjusted_interval=wide,
                p_difference=evidence.p_difference,
                p_equivalence=evidence.p_equivalence,
                p_difference_adjusted=p_diff,
                p_equivalence_adjusted=p_eq,
                exceeds_margin=exceeds,
                method=full_method,
                warnings=warnings,
            )
        )
    return judgements


def _reason(verdict: Verdict, measurable: bool, inside: bool, exceeds: bool, many: str) -> str:
    if verdict == "equivalent":
        return (
            "measurable, below the margin" if measurable else "the difference is below the margin"
        )
    if verdict != "undecided":
        if exceeds:
            return "the difference exceeds the margin"
        return "not shown to exceed the margin"
    if inside:
        return "a run diverged, so equivalence cannot be claimed"
    return f"neither a difference nor equivalence is shown{many}"


def _diverged(pair: Comparand) -> tuple[str, ...]:
    return tuple(
        f"{name}: {diverged} of {len(scores)} diverged"
        for name, scores, diverged in (
            (pair.name, pair.a, pair.diverged_a),
            (pair.baseline, pair.b, pair.diverged_b),
        )
        if diverged
    )


def _no_verdict(pair: Comparand, reason: str, method: str, warnings: tuple[str, ...]) -> Judgement:
    return Judgement(
        arm=pair.name,
        baseline=pair.baseline,
        verdict="undecided",
        reason=reason,
        interval=None,
        adjusted_interval=None,
        p_difference=None,
        p_equivalence=None,
        p_difference_adjusted=None,
        p_equivalence_adjusted=None,
        exceeds_margin=False,
        method=method,
        warnings=warnings,
    )
