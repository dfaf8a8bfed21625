"""Adding seeds until decided, without being fooled by having looked often.

Every complete number of seeds from 3 to n_max is one look. A test at 5 % at each of them would
find a difference that is not there in about one of six comparisons, so a look at n seeds may
spend only the share n / K of alpha. K was fitted by simulation on normal scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from triptych.stats.intervals import (
    WELCH,
    Floats,
    as_scores,
)
from triptych.stats.verdicts import (
    FEWEST_SEEDS,
    Comparand,
    Evidence,
    Judgement,
    check_plan,
    decide,
    evidence_at,
    refusal,
    unmoved,
)

LARGEST_RATIO = 3.0
"""Ratio of standard deviations up to which the rule was simulated to hold if scores are roughly
normal; skewed scores (skewness 1) give 6 to 7 % false positives from here on."""


def looks_constant(n_max: int) -> float:
    """K of a plan with at most n_max seeds: a look at n seeds may spend alpha n / K."""
    return 4.25 * n_max - 9.5


def over_looks(p_values: Floats, n_max: int) -> Floats:
    """p values that count the looks so far, from those of looks at 3, 4, ... seeds (..., looks)."""
    seeds = np.arange(FEWEST_SEEDS, FEWEST_SEEDS + p_values.shape[-1])
    charged = p_values * looks_constant(n_max) / seeds
    return np.minimum(np.minimum.accumulate(charged, axis=-1), 1.0)


def judge_sequential(
    pairs: Sequence[Comparand],
    margin: float,
    n_max: int,
    *,
    alpha: float = 0.05,
    higher_is_better: bool = True,
) -> list[Judgement]:
    """Judge the comparisons of a plan that adds seeds until decided, n_max at most.

    Scores are in the order of the seeds; the looks are every n from 3 to those given. p values
    never rise with more seeds, so what an earlier look has shown stays. ValueError where
    there are more scores than n_max.
    """
    check_plan(margin, alpha)
    if n_max < FEWEST_SEEDS:
        raise ValueError(f"a sequential plan needs n_max of at least {FEWEST_SEEDS}, not {n_max}")
    for pair in pairs:
        if max(len(pair.a), len(pair.b)) > n_max:
            raise ValueError(f"{pair.name}: more than the {n_max} seeds that the plan allows")
    found = [refusal(pair) or _evidence(pair, margin, n_max) for pair in pairs]
    method = f"{WELCH}, looked at every n from {FEWEST_SEEDS} to at most {n_max}"
    return decide(pairs, found, margin, alpha, higher_is_better, method)


def _evidence(pair: Comparand, margin: float, n_max: int) -> Evidence:
    a, b = as_scores(pair.a), as_scores(pair.b)
    seeds = range(FEWEST_SEEDS, a.size + 1)
    looks = [_look(a[:n], b[:n], margin) for n in seeds]
    deciding = min(zip(looks, seeds, strict=True), key=lambda it: it[0].p_difference / it[1])[0]
    now = looks[-1]
    warnings = []
    if deciding.direction * now.difference < 0:
        warnings.append("later seeds point the other way")
    smaller, larger = sorted((float(a.std()), float(b.std())))
    if larger > LARGEST_RATIO * smaller:
        warnings.append(
            f"standard deviations differ by a factor above {LARGEST_RATIO:g}: "
            "if the scores are skewed, the sequential rule errs in more than 5 % of cases"
        )
    return replace(
        now,
        p_difference=_so_far([look.p_difference for look in looks], n_max),
        p_equivalence=_so_far([look.p_equivalence for look in looks], n_max),
        direction=deciding.direction,
        share=a.size / looks_constant(n_max),
        early=a.size < n_max,
        warnings=tuple(warnings),
    )


def _look(a: Floats, b: Floats, margin: float) -> Evidence:
    evidence = "" if unmoved(a) or unmoved(b) else evidence_at(a, b, margin)
    # Coarse scores may agree at first; such a look shows nothing.
    return evidence if isinstance(evidence, Evidence) else Evidence(0.0, 0.0, 1.0, 1.0, 1.0, 0.0)


def _so_far(p_values: list[float], n_max: int) -> float:
    return float(over_looks(np.array(p_values), n_max)[-1])
