"""How many seeds a comparison needs, from how much the seed changes the score."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import chdtri, ndtri

from triptych.stats.verdicts import FEWEST_SEEDS

SEQUENTIAL = 1.36
HOLM = {1: 1.0, 2: 1.2, 3: 1.33}


@dataclass(frozen=True)
class SeedPlan:
    """Seeds per arm and the range that remains, since a deviation from few seeds is uncertain.

    All three are None where nothing can be said; `reason` is one sentence for the user.
    """

    seeds: int | None
    low: int | None
    high: int | None
    reason: str


def plan_seeds(
    std_a: float | None,
    std_b: float | None,
    n: int,
    margin: float,
    *,
    arms: int = 2,
    sequential: bool = False,
    std_paired: float | None = None,
) -> SeedPlan:
    """Seeds per arm that show a true difference of `margin`, or none, with 80 % probability.

    The standard deviations (ddof 1) of both arms come from n seeds each; `arms` counts the
    baseline, so there are arms - 1 comparisons. Equivalence costs the more: 2 (1.645 + 1.282)²
    (s / m)² seeds on normal scores, and 1.5 because s is estimated. The range is an 80 %
    interval of s² from the chi-square distribution with 2 (n - 1) degrees of freedom. The
    observed difference is no argument: a plan made from it repeats its luck.
    For a paired plan `std_paired` is the standard deviation of the n differences of equal seeds:
    half its square takes the place of s², n - 1 that of the degrees of freedom, 2 that of 1.5.
    ValueError for a margin that is not above 0, no seeds or fewer than two arms.
    """
    if not 0 < margin < math.inf:
        raise ValueError(f"the margin must be above 0, not {margin}")
    if n < 1 or arms < 2:
        raise ValueError(f"a plan needs at least one seed and two arms, not {n} and {arms}")
    if n == 1 or std_a is None or std_b is None:
        return SeedPlan(None, None, None, f"cannot say from one seed; run {FEWEST_SEEDS}")
    if std_a <= 0 or std_b <= 0:
        return SeedPlan(None, None, None, "cannot say: all runs of an arm scored the same")
    if std_paired is None:
        variance, estimated, df = (std_a**2 + std_b**2) / 2, 1.5, 2 * (n - 1)
    elif std_paired > 0:
        variance, estimated, df = std_paired**2 / 2, 2.0, n - 1
    else:
        return SeedPlan(None, None, None, "cannot say: every seed gave the same difference")
    term = 17.1 * variance / margin**2 * holm_factor(arms - 1)
    if sequential:
        term *= SEQUENTIAL
    low, high = variance_range(df)
    seeds, fewest, most = (
        max(FEWEST_SEEDS, math.ceil(term * factor + estimated)) for factor in (1.0, low, high)
    )
    what = "seeds per arm at most" if sequential else "seeds per arm"
    return SeedPlan(
        seeds,
        fewest,
        most,
        f"about {seeds} {what} ({fewest} to {most}, as the deviation is known from {n} seeds) "
        f"to show a difference of {margin:g} or its absence 4 times in 5",
    )


def variance_range(df: int) -> tuple[float, float]:
    """Factors on s², known with `df` degrees of freedom, between which the true variance lies with
    80 %."""
    return df / float(chdtri(df, 0.1)), df / float(chdtri(df, 0.9))


def holm_factor(comparisons: int) -> float:
    """How many times more seeds when Holm adjusts for this many comparisons.

    For 2 and 3 as simulated; from 4 the Bonferroni bound on the test of equivalence.
    """
    if comparisons in HOLM:
        return HOLM[comparisons]
    one, all_of_them = (float(ndtri(1 - a) + ndtri(0.9)) for a in (0.05, 0.05 / comparisons))
    return (all_of_them / one) ** 2


def divergence_bound(n: int) -> float:
    """Largest rate of divergence (95 %) that n seeds without one leave possible."""
    if n < 1:
        raise ValueError(f"no bound from {n} seeds")
    return 1 - math.pow(0.05, 1 / n)
