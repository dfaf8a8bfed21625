"""A study as the core sees it."""

from __future__ import annotations

import numpy as np
import pytest

from triptych import study
from triptych.errors import UserError
from triptych.recipe import STUDIES
from triptych.study import Items

RESULT = {
    "recipe": "x/y",
    "seed": 3,
    "data": "objects test",
    "scores": {"top1": 0.25, "top5": None},
    "epochs": 2,
    "updates": 10,
    "samples": 80,
    "parameters": 12345,
    "times": {"seconds": 1.4},
    "diverged": False,
}


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_has_its_record(name: str) -> None:
    found = study.get(name)
    assert found.name == name
    assert found.metrics
    assert all(isinstance(higher, bool) for higher in found.metrics.values())


def test_another_study_is_refused_with_those_there_are() -> None:
    with pytest.raises(UserError, match="no study 'sleep'; there are segment, detect, classify"):
        study.get("sleep")


def test_a_metric_that_is_a_mean_of_items() -> None:
    items = Items(("a", "b", "c", "d"), None, np.array([1.0, 0.0, 0.0, 1.0]))
    assert items.score() == 0.5
    assert items.score(np.array([2.0, 1.0, 0.0, 1.0])) == 0.75


def test_a_metric_of_pooled_counts() -> None:
    # Per item a matrix: [[hits, misses], [0, 0]]; the metric is hits over both, over all items.
    counts = np.zeros((3, 2, 2))
    counts[:, 0, 0] = 1, 8, 0
    counts[:, 0, 1] = 1, 2, 4
    items = Items(("a", "b", "c"), None, counts, lambda sums: float(sums[0, 0] / sums[0].sum()))
    assert items.score() == 9 / 16
    assert items.score(np.array([2.0, 0.0, 1.0])) == 2 / 8


def test_a_result_in_words() -> None:
    text = study.describe_result(RESULT)
    assert "x/y seed 3: top1 0.2500 on objects test" in text
    assert "2 epochs, 10 updates, 80 samples, 12,345 parameters, 1 s" in text
    assert "diverged" not in text
    text = study.describe_result(RESULT | {"diverged": True, "run": "runs/x"})
    assert "diverged" in text
    assert "run folder: runs/x" in text
