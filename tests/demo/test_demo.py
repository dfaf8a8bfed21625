"""The demo, end to end, as small as its steps can be made."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from triptych import study as studies
from triptych.compare import Comparison
from triptych.compare.comparison import check
from triptych.demo import clip, demo, questions
from triptych.recipe import Recipe
from triptych.report.verify import verify

SMALL: dict[str, dict[str, Any]] = {
    "segment": {
        "data": "streets:scenes=2,frames=2,size=64x48",
        "val_data": "streets:scenes=2,frames=1,size=64x48",
        "batch_size": 2,
    },
    "detect": {
        "data": "streets:scenes=2,frames=2,size=128x64",
        "val_data": "streets:scenes=2,frames=1,size=128x64",
        "batch_size": 2,
    },
    "classify": {"data": "objects:train=40,val=20,test=20", "batch_size": 8},
}


def _small(recipe: Recipe) -> Recipe:
    changes = {"epochs": 1, "evaluate_every": 1, **SMALL[recipe.study]}
    if hasattr(recipe, "members"):
        changes |= {"members": 2, "interval": 1, "epochs": 2}
        del changes["batch_size"]
    return replace(recipe, **changes)


@pytest.mark.parametrize(
    "make",
    [
        questions.boundaries,
        questions.flaws,
        questions.models,
        lambda seed: questions.initialisation(seed, Path("a-run")),
    ],
)
def test_every_comparison_is_controlled_and_may_give_a_verdict(
    make: Callable[[int], Comparison],
) -> None:
    asked = make(4)
    study = studies.get(asked.study)
    check(asked, study.metrics, study.beside)
    assert asked.seeds == (4, 5, 6)


def test_the_backbone_fits_the_detector() -> None:
    from triptych.detect.models import entry

    asked = questions.initialisation(0, Path("a-run"))
    recipe = asked.arms["random"]
    assert isinstance(recipe, Recipe)
    assert entry(recipe.model).trunk == questions.backbone().model


def test_from_nothing_to_a_page_that_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    for name in ("boundaries", "initialisation", "flaws", "models"):
        real = getattr(questions, name)

        def small(*args: Any, real: Any = real) -> Comparison:
            asked: Comparison = real(*args)
            arms = {arm: _small(recipe) for arm, recipe in asked.arms.items()}  # type: ignore[arg-type]
            return replace(asked, arms=arms, seeds=asked.seeds[:1])

        monkeypatch.setattr(questions, name, small)
    backbone = questions.backbone
    monkeypatch.setattr(questions, "backbone", lambda: _small(backbone()))
    monkeypatch.setattr(clip, "FRAMES", 3)
    monkeypatch.setattr(clip, "SIZE", (48, 96))

    record = demo(tmp_path / "out", device="cpu")
    assert set(record["verdicts"]) == {"segment", "detect", "flaws", "classify"}
    assert Path(record["video"]).stat().st_size > 0
    assert all(line in record["text"] for line in (record["page"], "triptych predict drive.mp4"))
    assert verify(Path(record["page"]))["problems"] == []
    text = Path(record["page"]).read_text()
    for pairs in record["verdicts"].values():
        assert html.escape(pairs[0]["question"], quote=True).replace("&#x27;", "&#39;") in text
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    # Once more costs nothing and gives the same.
    again = demo(tmp_path / "out", device="cpu")
    assert again["verdicts"] == summary["verdicts"]
    assert again["seconds"] < record["seconds"]
