"""One model alone, along the schedule of hyperparameters that a population found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych.classify.recipes import ReplayRecipe
from triptych.classify.recipes.base import ClassifyRecipe
from triptych.classify.train import train
from triptych.errors import UserError
from triptych.population.rounds import member_seed


def train_replay(recipe: ReplayRecipe, seed: int, out: Path, **options: Any) -> dict[str, Any]:
    """Train in the run folder `out`, as `train.train` does; options are the same.

    Weights, data order and augmentation come from the seeds of the members that trained the
    schedule, so the run's own seed gives its best member again, and another seed a replicate.
    Raises UserError where the recipe has no schedule.
    """
    check_schedule(recipe)

    def conditions(epoch: int) -> tuple[ClassifyRecipe, int]:
        member, hypers = recipe.hypers(epoch)
        return replace(recipe, **hypers), member_seed(seed, member)  # type: ignore[arg-type]

    return train(recipe, seed, out, conditions=conditions, **options)


def check_schedule(recipe: ReplayRecipe) -> None:
    """Raise UserError where the recipe has no schedule."""
    if not recipe.segments:
        raise UserError(f"{recipe.name} needs the run of a population: --set schedule_from=RUN")
