"""A population is one run in a comparison, and its cost is that of all members."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych.classify.recipes import ClassifyRecipe, PopulationRecipe
from triptych.classify.space import SPACES
from triptych.compare import sources
from triptych.compare.run import compare
from triptych.population.space import Choice
from triptych.recipe import Recipe, differences

FILE = Path(__file__).parents[2] / "comparisons" / "pbt.py"


@pytest.fixture
def data(tmp_path: Path) -> str:
    draw = np.random.default_rng(0)
    for split, count in (("train", 32), ("val", 8), ("test", 8)):
        for name in ("one", "two"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return f"folder:{tmp_path / 'data'}"


def test_the_plan_gives_every_arm_as_many_samples() -> None:
    arms = sources.from_name(str(FILE)).arms
    pbt, search, fixed = arms["pbt"], arms["random-search"], arms["fixed"]
    assert isinstance(pbt, PopulationRecipe)
    assert isinstance(search, PopulationRecipe)
    assert isinstance(fixed, ClassifyRecipe)
    assert fixed.epochs == pbt.members * pbt.epochs
    sizes = SPACES[pbt.space].dimensions["batch_size"]
    assert isinstance(sizes, Choice)
    assert pbt.train_images is not None
    assert all(pbt.train_images % size == 0 for size in (*sizes.values, fixed.batch_size))
    # Random search is the population without takeovers, and nothing else.
    assert differences(pbt, search) == {"interval": (1, pbt.epochs)}
    assert (len(pbt.rounds()), search.rounds()) == (12, [12])


def test_it_runs_and_counts_all_members(tmp_path: Path, data: str) -> None:
    torch.set_num_threads(1)
    made = sources.from_name(str(FILE))
    arms: dict[str, Recipe] = {}
    for name, arm in made.arms.items():
        assert isinstance(arm, ClassifyRecipe)
        scaled = replace(
            arm, data=data, model="vit-tiny", train_images=None, val_images=None, epochs=6
        )
        if isinstance(scaled, PopulationRecipe):
            interval = 1 if name == "pbt" else 2
            scaled = replace(scaled, members=3, epochs=2, interval=interval)
        arms[name] = scaled
    small = replace(made, arms=arms, seeds=(0,))  # type: ignore[arg-type]
    verdict = compare(small, tmp_path / "out", device="cpu", show_progress=False)
    costs = {name: arm["cost"] for name, arm in verdict["arms"].items()}
    assert {cost["samples"] for cost in costs.values()} == {6 * 64}
    assert len({cost["training_GFLOP"] for cost in costs.values()}) == 1
    assert {name: arm["n"] for name, arm in verdict["arms"].items()} == dict.fromkeys(arms, 1)
    lines = {line["about"]: line for line in verdict["audit"]}
    assert "384 in 6; " in lines["samples and updates"]["text"]
    assert "of all 3 members" in lines["samples and updates"]["text"]
    assert lines["hyperparameters"]["finding"] == "fair"
    assert "random-search: " in lines["hyperparameters"]["text"]
    assert "pbt: " in lines["hyperparameters"]["text"]
    assert "fixed" not in lines["hyperparameters"]["text"]
