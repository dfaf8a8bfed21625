"""On which data and split each study evaluates a recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from triptych import recipe as recipes
from triptych import study
from triptych.errors import UserError
from triptych.study import Predictions


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"val_data": None}, ("camvid:A", "val")),
        ({"val_data": None, "val_split": "test"}, ("camvid:A", "test")),
        ({"val_data": "folder:B"}, ("folder:B", "val")),
        (
            {"val_data": None, "folds": "drives", "train_split": "trainval"},
            ("camvid:A", "trainval"),
        ),
    ],
)
def test_segment(changes: dict[str, Any], place: tuple[str, str]) -> None:
    recipe = replace(recipes.get("segment/tiny"), data="camvid:A", **changes)
    for metric in ("mIoU", "BF"):
        assert study.get("segment").evaluated_on(recipe, metric) == place


def test_an_inverse_network_labels_nothing() -> None:
    with pytest.raises(UserError, match="segment/inverse trains an inverse network, which labels"):
        study.get("segment").evaluated_on(recipes.get("segment/inverse"), "relative_error")


def test_what_is_scored_depends_on_the_recipe() -> None:
    segment = study.get("segment")
    inverse = segment.metrics_of(recipes.get("segment/inverse"))
    frames = segment.metrics_of(recipes.get("segment/tiny"))
    assert inverse is not None
    assert frames is not None
    assert (list(inverse), list(frames)) == (
        ["relative_error", "degraded_error", "ranking"],
        ["mIoU", "pixel_accuracy", "BF"],
    )
    assert {*inverse, *frames} == set(segment.metrics)
    assert segment.metrics_of(Predictions("labels")) == frames
    for other in ("detect", "classify"):
        assert study.get(other).metrics_of(recipes.get(f"{other}/tiny")) is None


@pytest.mark.parametrize(("metric", "split"), [("top1", "test"), ("val_loss", "val")])
def test_classify(metric: str, split: str) -> None:
    recipe: Any = recipes.get("classify/tiny")
    evaluated_on = study.get("classify").evaluated_on
    assert evaluated_on(recipe, metric) == (recipe.data, split)
    for other in ("val", "test"):
        own = replace(recipe, **{f"{other}_images": 20})
        if other != split:
            assert evaluated_on(own, metric) == (recipe.data, split)
            continue
        with pytest.raises(UserError, match=rf"draws its own \({other}_images\)"):
            evaluated_on(own, metric)
    with pytest.raises(UserError, match=r"draws its own \(split_seed\)"):
        evaluated_on(replace(recipe, split_seed=1), metric)
