"""Score against budget: what a mean over seeds is where seeds ended early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triptych.compare.curves import Point
from triptych.report.budget import Mean, budget_figure, crossings, spent

PLACES = {"vit": 0, "conv": 1}
Scores = dict[int, list[float | None]]


def verdict(diverged: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    def states(arm: str) -> dict[str, str]:
        return {str(s): "diverged" if s in diverged.get(arm, ()) else "done" for s in range(3)}

    arms = {arm: {"states": states(arm)} for arm in PLACES}
    return {"metric": "top1", "plan": {"seeds": [0, 1, 2]}, "arms": arms, "pairs": []}


def points(arm: str, scores: Scores) -> list[Point]:
    """After each epoch of 100 samples, from the first on."""
    return [
        Point(epoch, arm, seed, "val", "top1", score, 100.0 * epoch)
        for seed, of in scores.items()
        for epoch, score in enumerate(of, 1)
    ]


CONV = points("conv", {seed: [0.3, 0.4, 0.5, 0.6] for seed in range(3)})


def curves_of(
    vit: Scores, diverged: tuple[int, ...] = (), more: tuple[Point, ...] = ()
) -> dict[str, Mean]:
    """Of `vit` beside `conv`, along samples."""
    shown = [*points("vit", vit), *more, *CONV]
    found, split = spent(Path("nowhere"), verdict({"vit": diverged}), shown)
    assert split == "val"
    assert set(found) == {"samples"}, "what is not known of all arms is left out"
    return found["samples"]


def notes(curves: dict[str, Mean]) -> list[str]:
    figure = budget_figure({"samples": curves}, "top1", "val", PLACES)
    assert figure is not None
    return [text.get_text() for text in figure.texts]


def test_a_mean_is_of_all_seeds() -> None:
    curves = curves_of({0: [0.1, 0.2, 0.3, 0.4], 1: [0.2, 0.3, 0.4, 0.5], 2: [0.3, 0.4, 0.5, 0.6]})
    assert curves["vit"].at.tolist() == [100, 200, 300, 400]
    assert curves["vit"].mean.tolist() == pytest.approx([0.2, 0.3, 0.4, 0.5])
    assert curves["vit"].low.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert curves["vit"].high.tolist() == [0.3, 0.4, 0.5, 0.6]
    assert curves["vit"].alone == ()
    assert notes(curves) == ["line: mean over seeds; band: lowest to highest seed"]


@pytest.mark.parametrize("last", [[], [None], [None, None]])
def test_seeds_that_go_on_are_no_mean(last: list[None]) -> None:
    """With its worst seed gone after the second epoch, the mean would jump over that of `conv`."""
    curves = curves_of(
        {0: [0.3, 0.5, 0.7, 0.8], 1: [0.3, 0.5, 0.7, 0.8], 2: [0.2, 0.1, *last]}, diverged=(2,)
    )
    assert curves["vit"].at.tolist() == [100, 200]
    assert curves["vit"].mean.tolist() == pytest.approx([0.8 / 3, 1.1 / 3])
    assert crossings({"samples": curves}) == []
    assert [(at.tolist(), of.tolist()) for at, of in curves["vit"].alone] == [
        ([200, 300, 400], [0.5, 0.7, 0.8])
    ] * 2
    said = " ".join(notes(curves))
    assert "mean over seeds as far as all of the arm came" in said
    assert "thin: single seeds, where others of their arm did not come as far" in said


@pytest.mark.parametrize(("flat", "at"), [([0.2, 0.2, 0.2], 200.0), ([0.2, 0.2, 0.15], 200.0)])
def test_curves_that_cross_at_an_evaluation(flat: list[float], at: float) -> None:
    up = curves_of({seed: [0.1, 0.2, 0.3] for seed in range(3)})["vit"]
    level = curves_of(dict.fromkeys(range(3), flat))["vit"]
    (found,) = crossings({"samples": {"up": up, "flat": level}})
    assert (found.arm, found.other, found.at) == ("up", "flat", pytest.approx(at))


def test_curves_that_only_touch_do_not_cross() -> None:
    up = curves_of({seed: [0.1, 0.2, 0.1] for seed in range(3)})["vit"]
    level = curves_of({seed: [0.2, 0.2, 0.2] for seed in range(3)})["vit"]
    assert crossings({"samples": {"up": up, "flat": level}}) == []


def test_no_mean_where_a_seed_diverged_before_its_first_score() -> None:
    curves = curves_of({0: [0.3, 0.5, 0.7, 0.8], 1: [0.2, 0.6, 0.7, 0.8]}, diverged=(2,))
    assert curves["vit"].at.tolist() == []
    assert [at.tolist() for at, _ in curves["vit"].alone] == [[100, 200, 300, 400]] * 2
    assert crossings({"samples": curves}) == []
    assert "thin" in " ".join(notes(curves))


def test_a_seed_that_has_not_begun_is_not_waited_for() -> None:
    found = verdict({})
    found["arms"]["vit"]["states"]["2"] = "missing"
    shown = [*points("vit", {0: [0.1, 0.2], 1: [0.3, 0.4]}), *CONV]
    curves = spent(Path("nowhere"), found, shown)[0]["samples"]
    assert curves["vit"].mean.tolist() == pytest.approx([0.2, 0.3])


def test_an_epoch_that_one_seed_lacks_is_left_out_and_one_scored_twice_counts_once() -> None:
    again = Point(2, "vit", 0, "val", "top1", 0.5, 200.0)
    curves = curves_of({0: [0.1, 0.2, 0.3], 1: [0.1, 0.3, 0.3], 2: [0.1, 0.4, 0.3]}, (), (again,))
    assert curves["vit"].mean.tolist() == pytest.approx([0.1, 0.4, 0.3])
    curves = curves_of({0: [0.1, 0.2, 0.3], 1: [0.1, None, 0.3], 2: [0.1, 0.4, 0.3]})
    assert curves["vit"].at.tolist() == [100, 300]
    assert curves["vit"].alone == ()
