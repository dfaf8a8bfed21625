"""The sequential rule: by hand, in its special cases, and its error and power by simulation."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.stats import Comparand, judge, judge_sequential
from triptych.stats.intervals import Floats, p_of_difference, p_of_equivalence, welch
from triptych.stats.sequential import looks_constant, over_looks

A = [0.60, 0.62, 0.61, 0.63, 0.60, 0.64]
B = [0.50, 0.53, 0.51, 0.52, 0.50, 0.51]


def test_by_hand() -> None:
    """n_max 10: K = 33, so looks at 3, 4, 5 seeds multiply p by 11, 8.25, 6.6."""
    assert looks_constant(10) == 33
    found = over_looks(np.array([0.002, 0.004, 0.001]), 10)
    assert found.tolist() == pytest.approx([0.022, 0.022, 0.0066])
    assert over_looks(np.array([0.5, 0.001]), 10).tolist() == pytest.approx([1.0, 0.00825])


def test_the_judgement_counts_the_looks() -> None:
    found = judge_sequential([Comparand("arm", "base", A, B)], 0.02, 10)[0]
    ps = [
        float(p_of_difference(*welch(np.array(A[:n]), np.array(B[:n])))) * 33 / n
        for n in range(3, 7)
    ]
    assert found.p_difference == pytest.approx(min(ps))
    assert found.verdict == "better"
    assert found.interval is not None
    assert found.interval.level == pytest.approx(1 - 0.05 * 6 / 33)
    assert found.method == "Welch t over seeds, looked at every n from 3 to at most 10"
    assert found.warnings == ("stopped early: the difference is probably overestimated",)
    assert judge_sequential([Comparand("arm", "base", A, B)], 0.02, 6)[0].warnings == ()
    assert judge_sequential([Comparand("arm", "base", B, A)], 0.02, 10)[0].verdict == "worse"


def test_the_interval_agrees_with_a_look_that_decides() -> None:
    """At a look that alone decides, the shown interval excludes 0 exactly if P is below alpha."""
    generator = np.random.default_rng(5)
    decided = 0
    for _ in range(200):
        a, b = generator.normal(size=(2, 3))
        found = judge_sequential([Comparand("arm", "base", a + 6, b)], 0.1, 10)[0]
        assert found.interval is not None
        assert found.interval.excludes_zero == (found.verdict == "better")
        decided += found.verdict == "better"
    assert 20 < decided < 180


def test_what_was_shown_stays_shown() -> None:
    a = [*A, 0.1, 0.2]
    b = [*B, 0.9, 0.8]
    found = judge_sequential([Comparand("arm", "base", a, b)], 0.02, 10)[0]
    assert found.verdict == "better"
    assert found.interval is not None
    assert found.interval.difference < 0
    assert "later seeds point the other way" in found.warnings


def test_equal_arms_become_equivalent() -> None:
    a = [0.500, 0.502, 0.501, 0.499, 0.500]
    b = [0.501, 0.500, 0.502, 0.500, 0.499]
    found = judge_sequential([Comparand("arm", "base", a, b)], 0.02, 5)[0]
    assert (found.verdict, found.warnings) == ("equivalent", ())
    diverged = judge_sequential([Comparand("arm", "base", a, b, diverged_a=1)], 0.02, 5)[0]
    assert diverged.verdict == "undecided"


def test_warns_of_very_different_deviations() -> None:
    a = [0.1, 0.5, 0.9, 0.4]
    b = [0.50, 0.51, 0.52, 0.53]
    found = judge_sequential([Comparand("arm", "base", a, b)], 0.02, 10)[0]
    assert found.verdict == "undecided"
    assert len(found.warnings) == 1
    assert "factor above 3" in found.warnings[0]


def test_coarse_scores_that_agree_at_first() -> None:
    a = [0.6, 0.6, 0.6, 0.7, 0.6]
    b = [0.1, 0.2, 0.1, 0.2, 0.1]
    found = judge_sequential([Comparand("arm", "base", a, b)], 0.02, 5)[0]
    assert found.verdict == "better"
    still = judge_sequential([Comparand("arm", "base", a[:3], b[:3])], 0.02, 5)[0]
    assert still.reason == "all runs of arm scored 0.6000"


def test_several_arms_share_alpha() -> None:
    pairs = [Comparand("arm", "base", A, B), Comparand("same", "base", B, B)]
    first, second = judge_sequential(pairs, 0.001, 10)
    alone = judge_sequential(pairs[:1], 0.001, 10)[0]
    assert alone.p_difference is not None
    assert first.p_difference_adjusted == pytest.approx(2 * alone.p_difference)
    assert first.adjusted_interval is not None
    assert first.adjusted_interval.level == pytest.approx(1 - 0.05 * 6 / 33 / 2)
    assert second.verdict == "undecided"


def test_bad_requests() -> None:
    pair = Comparand("arm", "base", A, B)
    with pytest.raises(ValueError, match="more than the 5 seeds"):
        judge_sequential([pair], 0.02, 5)
    with pytest.raises(ValueError, match="n_max"):
        judge_sequential([], 0.02, 2)
    with pytest.raises(ValueError, match="margin"):
        judge_sequential([pair], 0, 10)
    short = judge_sequential([Comparand("arm", "base", A[:2], B[:2])], 0.02, 10)[0]
    assert short.reason == "fewer than 3 seeds"


def looks(a: Floats, b: Floats, margin: float | None = None) -> Floats:
    """p values of every look, (runs, looks): of a difference, or of equivalence to a margin."""
    found = []
    for n in range(3, a.shape[1] + 1):
        estimate = welch(a[:, :n], b[:, :n])
        found.append(
            p_of_difference(*estimate) if margin is None else p_of_equivalence(*estimate, margin)
        )
    return np.stack(found, axis=1)


def arms(seed: int, ratio: float = 1.0, n: int = 10) -> tuple[Floats, Floats]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(20_000, n)) * ratio, generator.normal(size=(20_000, n))


@pytest.mark.parametrize(("ratio", "expected"), [(1, 0.035), (3, 0.045), (10, 0.048)])
def test_false_positives(ratio: float, expected: float) -> None:
    """Of arms that do not differ; testing at 5 % at every look finds 14 to 17 %."""
    p_values = looks(*arms(int(ratio), ratio))
    assert 0.135 < (p_values.min(axis=1) <= 0.05).mean() < 0.18
    found = (over_looks(p_values, 10)[:, -1] <= 0.05).mean()
    assert found == pytest.approx(expected, abs=0.005)
    assert found < 0.053


@pytest.mark.parametrize("n_max", [4, 6, 15, 20])
def test_false_positives_of_other_plans(n_max: int) -> None:
    """The constant was fitted at 10; it holds elsewhere too."""
    found = over_looks(looks(*arms(n_max, 10, n_max)), n_max)[:, -1] <= 0.05
    assert 0.04 < found.mean() < 0.054


def test_power() -> None:
    for true, expected in ((1, 0.41), (1.5, 0.77), (2, 0.96), (3, 1.0)):
        a, b = arms(int(10 * true))
        found = (over_looks(looks(a + true, b), 10)[:, -1] <= 0.05).mean()
        assert found == pytest.approx(expected, abs=0.012), true


def test_false_equivalence() -> None:
    """Arms that differ by just the margin must not be called equivalent in more than 5 %."""
    for margin in (1, 3):
        a, b = arms(margin + 50)
        found = (over_looks(looks(a + margin, b, margin), 10)[:, -1] <= 0.05).mean()
        assert 0.01 < found < 0.04, margin


def test_early_stops_overestimate() -> None:
    """Shown differences where the true one is 1 deviation: about 1.6 among decided runs."""
    a, b = arms(77)
    a = a + 1
    spent = over_looks(looks(a, b), 10) <= 0.05
    decided = spent.any(axis=1)
    at = spent.argmax(axis=1) + 2
    rows = np.arange(len(a))
    each = (np.cumsum(a - b, axis=1)[rows, at] / (at + 1))[decided]
    assert each.mean() == pytest.approx(1.57, abs=0.05)


def test_skewed_scores_err_more_often() -> None:
    """The stated limit: 6 % at skewness 1 and 11 % at 2; the fixed plan shares it."""
    generator = np.random.default_rng(9)
    for shape, expected, fixed in ((4, 0.062, 0.062), (1, 0.106, 0.085)):
        a, b = (generator.gamma(shape, size=(20_000, 10)) - shape for _ in range(2))
        p_values = looks(3 * a, b)
        found = (over_looks(p_values, 10)[:, -1] <= 0.05).mean()
        assert found == pytest.approx(expected, abs=0.006), shape
        assert (p_values[:, -1] <= 0.05).mean() == pytest.approx(fixed, abs=0.006), shape


def test_one_look_is_almost_the_fixed_plan() -> None:
    fixed = judge([Comparand("arm", "base", A[:3], B[:3])], 0.02)[0]
    found = judge_sequential([Comparand("arm", "base", A[:3], B[:3])], 0.02, 3)[0]
    assert fixed.p_difference is not None
    assert found.p_difference == pytest.approx(fixed.p_difference * 3.25 / 3)


def test_a_margin_is_exceeded_on_the_verdicts_own_side_only() -> None:
    """An early look decided for a; by now a lies far below, which is no `better` beyond it."""
    a = [0.62, 0.621, 0.619, 0.2, 0.21, 0.19, 0.2, 0.21, 0.19, 0.2]
    b = [0.5, 0.501, 0.499, 0.5, 0.501, 0.499, 0.5, 0.501, 0.499, 0.5]
    (found,) = judge_sequential([Comparand("a", "b", a, b)], 0.01, 10)
    assert found.verdict == "better"
    assert found.interval is not None
    assert found.interval.difference < 0
    assert not found.exceeds_margin
