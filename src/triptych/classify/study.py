"""The `classify` study as the core sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triptych.classify.evaluate import read_items
from triptych.classify.models import known
from triptych.classify.pbt import train_population
from triptych.classify.predictions import predict_items as score_predictions
from triptych.classify.recipes import ClassifyRecipe, PopulationRecipe, ReplayRecipe
from triptych.classify.replay import check_schedule, train_replay
from triptych.classify.train import train as train_one
from triptych.errors import UserError
from triptych.evaluation_folder import ITEMS, SCORES
from triptych.run import read_json, read_result
from triptych.study import Items, Predictions, Study, TrainOver

METRICS = {
    "top1": True,
    "top5": True,
    "loss": False,
    "val_top1": True,
    "val_top5": True,
    "val_loss": False,
}


VAL = "val_"
"""What the scores of a run's validation images begin with; the others are of its test images."""


def run_items(folder: Path, metric: str) -> Items | None:
    """What every image of test (val, for `val_…`) contributed to a metric of a run."""
    result = read_result(folder)
    if result is None:
        return None
    data = str(result["data"]).removesuffix(" test")
    return evaluation_items(folder / "evaluations" / f"{data}-{_split(metric)}", metric)


def evaluation_items(folder: Path, metric: str) -> Items | None:
    """What every image of the evaluation in `folder` contributed to a score; None where it has
    none of that name. `val_…` is a score of validation images alone."""
    file = folder / ITEMS
    table = read_items(file) if file.exists() else None
    name = metric.removeprefix(VAL)
    if table is None or name not in table.column_names:
        return None
    if name != metric and read_json(folder / SCORES).get("split") != "val":
        return None
    return Items(tuple(table["key"].to_pylist()), None, table[name].to_numpy())


def predict_items(arm: Predictions, data: str, split: str, metric: str, folder: Path) -> Items:
    """Score a CSV file of class scores on one split; on `val`, `val_top1` is its `top1`."""
    name = metric.removeprefix(VAL) if split == "val" else metric
    return score_predictions(arm, data, split, name, folder)


def evaluated_on(recipe: ClassifyRecipe, metric: str) -> tuple[str, str]:
    """Data and split of the images behind a metric of a recipe's runs.

    Raises UserError where the recipe draws them in its own way.
    """
    split = _split(metric)
    own = [
        name
        for name, default in ((f"{split}_images", None), ("split_seed", 0))
        if getattr(recipe, name) != default
    ]
    if own:
        raise UserError(
            f"fixed predictions are scored on the split {split} as the data has it, and "
            f"{recipe.name} draws its own ({', '.join(own)}): leave that out"
        )
    return recipe.data, split


def _split(metric: str) -> str:
    return "val" if metric.startswith(VAL) else "test"


def train(recipe: ClassifyRecipe, seed: int, out: Path, **options: Any) -> dict[str, Any]:
    """Train one model, a population, or one model along a population's schedule."""
    if isinstance(recipe, PopulationRecipe):
        return train_population(recipe, seed, out, **options)
    if isinstance(recipe, ReplayRecipe):
        return train_replay(recipe, seed, out, **options)
    return train_one(recipe, seed, out, **options)


def over(recipe: ClassifyRecipe) -> TrainOver | None:
    """How a population is trained over a cluster."""
    return train_population if isinstance(recipe, PopulationRecipe) else None


def check(recipe: ClassifyRecipe) -> None:
    """Raise UserError where no model has the recipe's name for it, or a replay no schedule."""
    known(recipe.model)
    if isinstance(recipe, ReplayRecipe):
        check_schedule(recipe)


STUDY = Study(
    name="classify",
    train=train,
    check=check,
    metrics=METRICS,
    run_items=run_items,
    predict_items=predict_items,
    evaluation_items=evaluation_items,
    evaluated_on=evaluated_on,
    over=over,
)
