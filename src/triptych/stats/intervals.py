"""Differences between two arms over their seeds, with intervals.

`welch`, `paired` and the two p values work along the last axis of arrays, so that a simulation
runs the very code that judges a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]
Scores = Sequence[float] | Floats

WELCH = "Welch t over seeds"
PAIRED = "paired t over seeds"


@dataclass(frozen=True)
class Interval:
    """A difference, arm minus baseline, in the metric's unit, with its confidence interval."""

    difference: float
    low: float
    high: float
    level: float
    method: str
    df: float | None
    """Degrees of freedom of Student's t; None for a bootstrap."""
    se: float
    """Standard error of the difference."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (ddof 1) of n scores; no deviation from one score."""

    mean: float
    std: float | None
    n: int


def as_scores(scores: Scores, name: str = "scores") -> Floats:
    """The scores as a vector (n,); ValueError where there are none or one is not finite."""
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"{name}: one score for every seed or item, not shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: a score is not finite; a diverged run counts at chance level")
    return values


def summary(scores: Scores) -> Summary:
    """Mean, standard deviation and number of the scores (n,); equal scores deviate by 0 exactly,
    whatever their mean is rounded to."""
    values = as_scores(scores)
    std = float(values.std(ddof=1)) if values.size > 1 else None
    if values.size > 1 and constant(values, float(np.abs(values).max())):
        std = 0.0
    return Summary(float(values.mean()), std, values.size)


def welch(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats]:
    """Difference of means, its standard error and degrees of freedom, along the last axis.

    Welch (1947), "The generalization of 'Student's' problem when several different population
    variances are involved", with Satterthwaite's degrees of freedom. a is (..., n), b (..., m).
    """
    n, m = a.shape[-1], b.shape[-1]
    of_a = a.var(axis=-1, ddof=1) / n
    of_b = b.var(axis=-1, ddof=1) / m
    df = (of_a + of_b) ** 2 / (of_a**2 / (n - 1) + of_b**2 / (m - 1))
    return a.mean(axis=-1) - b.mean(axis=-1), np.sqrt(of_a + of_b), df


def paired(a: Floats, b: Floats) -> tuple[Floats, Floats, Floats]:
    """The same for pairs (..., n) that share what a seed sets: Student's t on the differences."""
    each = a - b
    n = each.shape[-1]
    se = each.std(axis=-1, ddof=1) / np.sqrt(n)
    return each.mean(axis=-1), se, np.full(se.shape, n - 1.0)


def p_of_difference(difference: Floats, se: Floats, df: Floats) -> Floats:
    """Two-sided p value of "the arms do not differ"."""
    return np.asarray(2 * stdtr(df, -np.abs(difference) / se))


def p_of_equivalence(difference: Floats, se: Floats, df: Floats, margin: float) -> Floats:
    """p value of "the arms differ by the margin or more": the larger of two one-sided tests.

    Schuirmann (1987), "A comparison of the two one-sided tests procedure and the power approach
    for assessing the equivalence of average bioavailability".
    """
    return np.asarray(stdtr(df, -(margin - np.abs(difference)) / se))


def t_interval(difference: float, se: float, df: float, level: float, method: str) -> Interval:
    """Student's t interval around a difference; level is a fraction such as 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"the level must lie between 0 and 1, not {level}")
    reach = float(stdtrit(df, (1 + level) / 2)) * se
    return Interval(difference, difference - reach, difference + reach, level, method, df, se)


def constant(values: Floats, scale: float) -> bool:
    """Whether the values are all the same, up to the rounding of numbers as large as `scale`."""
    return float(np.ptp(values)) <= 1e-12 * scale


def seed_difference(a: Scores, b: Scores, level: float = 0.95) -> Interval:
    """Mean of the arm's scores a (n,) minus mean of the baseline's b (m,), Welch's interval.

    ValueError with fewer than 2 scores in an arm, or where no score differs from another.
    """
    ours, theirs = as_scores(a), as_scores(b)
    if min(ours.size, theirs.size) < 2:
        raise ValueError("an interval over seeds needs at least 2 in each arm")
    scale = float(max(np.abs(ours).max(), np.abs(theirs).max()))
    if constant(ours, scale) and constant(theirs, scale):
        raise ValueError("the seed changed nothing in either arm: there is no interval")
    difference, se, df = welch(ours, theirs)
    return t_interval(float(difference), float(se), float(df), level, WELCH)


def paired_seed_difference(a: Scores, b: Scores, level: float = 0.95) -> Interval:
    """The same where equal seeds share a split or an order: paired t over a and b, both (n,).

    ValueError with unequal numbers, fewer than 2 pairs, or where every pair differs alike.
    """
    ours, theirs = as_scores(a), as_scores(b)
    if ours.size != theirs.size or ours.size < 2:
        raise ValueError("a paired interval needs the same seeds in both arms, at least 2")
    if constant(ours - theirs, float(max(np.abs(ours).max(), np.abs(theirs).max()))):
        raise ValueError("every seed gave the same difference: there is no interval")
    difference, se, df = paired(ours, theirs)
    return t_interval(float(difference), float(se), float(df), level, PAIRED)
