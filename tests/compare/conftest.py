"""A study without torch, so that whole comparisons take milliseconds."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.compare import Comparison
from triptych.errors import Stopped, UserError, WorkFailed
from triptych.recipe import Recipe
from triptych.run import Run, read_result, write_json
from triptych.stopping import StopRequest
from triptych.study import Items, Predictions, Study

ITEMS = 40


@dataclass(frozen=True, kw_only=True)
class FakeRecipe(Recipe):
    quality: float = 0.5
    """Mean score over seeds."""
    spread: float = 0.01
    """Standard deviation over seeds."""
    scale: tuple[float, float] = (1.0, 1.0)
    kind: str = "scored"
    """Runs of the kind `unscored` have no `top1`."""
    init: str = "random"
    val_data: str | None = None
    train_images: int | None = None
    boundary: str = "none"
    inverse_network: str | None = None
    folds: str = "none"


def fingerprint(recipe: FakeRecipe, seed: int) -> dict[str, str]:
    return {"train": recipe.data}


@dataclass
class Fake:
    """The study's functions, what they were called for, and what befalls which cell."""

    calls: list[tuple[str, int]] = field(default_factory=list)
    acts: dict[tuple[str, int], dict[str, Callable[[], None]]] = field(default_factory=dict)
    """(model, seed) → what is done `early`, before the folder is opened, or `inside` or `after`."""
    diverged: set[tuple[str, int]] = field(default_factory=set)
    dark: set[tuple[str, int]] = field(default_factory=set)
    """Cells in which no item counts for the score `dim`."""
    scoreless: set[tuple[str, int]] = field(default_factory=set)
    """Cells that end without a score `top1`."""
    groups: str | None = None
    """The group of every item, a letter each."""
    favour: dict[str, dict[str, float]] = field(default_factory=dict)
    """Model → group → by how much its items are better than its score."""
    fingerprint: Callable[[FakeRecipe, int], dict[str, str]] = fingerprint
    """(recipe, seed) → what the run says of the data that it saw."""
    tested_on: Callable[[FakeRecipe], str] = lambda recipe: "made up test"

    needed: list[str] = field(default_factory=list)
    """Models whose weights were asked for before anything was trained."""

    def preflight(self, recipe: Any) -> None:
        self.needed.append(recipe.model)
        if recipe.init == "nowhere":
            raise WorkFailed("nowhere.pth cannot be downloaded")

    def recipe(self, model: str = "a", **changes: Any) -> FakeRecipe:
        plain = FakeRecipe(
            name="fake/recipe", model=model, data="made up", epochs=1, batch_size=1, lr=0.1
        )
        return replace(plain, **changes)

    def comparison(self, *qualities: float, **changes: Any) -> Comparison:
        """Arms a, b, … of these mean scores, over three seeds."""
        arms: dict[str, Recipe | Predictions] = {
            name: self.recipe(name, quality=quality)
            for name, quality in zip("abcdef", qualities or (0.5, 0.6), strict=False)
        }
        asked = Comparison(
            question="Which is better?",
            arms=arms,
            varies=frozenset({"model", "quality", "spread"}),
            seeds=(0, 1, 2),
            metric="top1",
            margin=0.02,
        )
        return replace(asked, **changes)

    def score(self, recipe: FakeRecipe, seed: int) -> float:
        return recipe.quality + recipe.spread * random.Random(f"{recipe.model} {seed}").gauss(0, 1)

    def scores(self, recipe: Any, seeds: range | tuple[int, ...]) -> list[float]:
        return [self.score(recipe, seed) for seed in seeds]

    def train(
        self,
        recipe: FakeRecipe,
        seed: int,
        out: Path,
        *,
        device: str = "auto",
        stop: StopRequest | None = None,
        show_progress: bool = True,
    ) -> dict[str, Any]:
        self.calls.append((recipe.model, seed))
        acts = self.acts.get((recipe.model, seed), {})
        nothing: Callable[[], None] = lambda: None  # noqa: E731
        acts.get("early", nothing)()
        with Run.open(out, recipe, seed, self.fingerprint(recipe, seed)) as run:
            if (done := read_result(out)) is not None:
                return done
            acts.get("inside", nothing)()
            if stop is not None and stop.reason is not None:
                raise Stopped(f"stopped by {stop.reason}")
            score = self.score(recipe, seed)
            noise = np.random.default_rng(seed).normal(0, 0.1, ITEMS)
            items = score + noise - noise.mean()
            if recipe.model in self.favour and self.groups:
                items += [self.favour[recipe.model].get(group, 0.0) for group in self.groups]
            top1 = None if (recipe.model, seed) in self.scoreless else score
            dim = None if (recipe.model, seed) in self.dark else score / 2
            write_json(out / "items.json", {"top1": items.tolist(), "dim": (items / 2).tolist()})
            write_json(out / "audit.json", testimony(recipe))
            result = {
                "recipe": recipe.name,
                "seed": seed,
                "data": self.tested_on(recipe),
                "scores": {"top1": top1, "loss": 1 - score, "dim": dim},
                "diverged": (recipe.model, seed) in self.diverged,
                "parameters": 100,
                "MACs": 200,
                "samples": 300,
                "updates": 3,
                "training_GFLOP": 0.1,
                "times": {"seconds": 0.5},
            }
            run.finish(result)
        acts.get("after", nothing)()
        return result

    def check(self, recipe: Any) -> None:
        if recipe.model == "unknown":
            raise UserError("no model is called 'unknown'")

    def run_items(self, folder: Path, metric: str) -> Items | None:
        file = folder / "items.json"
        found = json.loads(file.read_text()) if file.exists() else {}
        if metric not in found:
            return None
        values = np.array(found[metric])
        keys = tuple(map(str, range(len(values))))
        return Items(keys, tuple(self.groups) if self.groups else None, values)

    def predict_items(
        self, arm: Predictions, data: str, split: str, metric: str, folder: Path
    ) -> Items:
        self.calls.append((arm.source, -1))
        folder.mkdir(exist_ok=True)
        write_json(folder / "scores.json", {"model": arm.source, "images": ITEMS})
        values = np.random.default_rng(len(arm.source)).uniform(0, 1, ITEMS)
        dim = [] if (arm.source, -1) in self.dark else (values / 2).tolist()
        write_json(folder / "items.json", {"top1": values.tolist(), "dim": dim})
        items = self.run_items(folder, "top1")
        assert items is not None
        return items


def testimony(recipe: FakeRecipe) -> dict[str, Any]:
    once = {"first": recipe.lr, "min": recipe.lr, "max": recipe.lr, "last": recipe.lr}
    return {
        "training_images": 100,
        "images_seen": 100,
        "strangers_seen": 0,
        "images_seen_by_epoch": [100],
        "samples": 300,
        "updates": 3,
        "copies_in_batches": 0,
        "versions_of_copies": 0,
        "probed_copies": 8,
        "probed_versions": 8,
        "probes": 1,
        "augmented": True,
        "input": [3, 8, 8, "float32"],
        "settings": {"lr": once},
        "parameters": 100,
        "parameters_never_changed": 0,
        "entries_never_changed": [],
        "buffers_never_changed": [],
    }


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """The study that every comparison of the test is of."""
    # Only a machine that goes down needs it, and it takes most of the time.
    monkeypatch.setattr(os, "fsync", lambda _: None)
    made = Fake()
    study = Study(
        name="fake",
        train=made.train,
        check=made.check,
        metrics={"top1": True, "loss": False},
        # Looked up at each call, so that a test may put another function in their place.
        run_items=lambda folder, metric: made.run_items(folder, metric),
        predict_items=lambda *asked: made.predict_items(*asked),
        evaluation_items=lambda folder, score: made.run_items(folder, score),
        evaluated_on=lambda recipe, metric: (recipe.data, "test"),
        preflight=made.preflight,
        metrics_of=lambda arm: (
            ("loss",) if isinstance(arm, FakeRecipe) and arm.kind == "unscored" else None
        ),
        beside=("dim",),
    )
    monkeypatch.setattr("triptych.study.get", lambda name: study)
    return made
