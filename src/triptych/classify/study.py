"""The `classify` study as the core sees it."""

from __future__ import annotations

from pathlib import Path

from triptych.classify.evaluate import read_items
from triptych.classify.models import known
from triptych.classify.predictions import predict_items
from triptych.classify.recipes import ClassifyRecipe
from triptych.classify.train import train
from triptych.evaluation_folder import ITEMS
from triptych.run import read_result
from triptych.study import Items, Study

METRICS = {
    "top1": True,
    "top5": True,
    "loss": False,
    "val_top1": True,
    "val_top5": True,
    "val_loss": False,
}


def run_items(folder: Path, metric: str) -> Items | None:
    """What every image of test (val, for `val_…`) contributed to a metric of a run."""
    result = read_result(folder)
    if result is None:
        return None
    data = str(result["data"]).removesuffix(" test")
    split = "val" if metric.startswith("val_") else "test"
    return evaluation_items(folder / "evaluations" / f"{data}-{split}", metric.removeprefix("val_"))


def evaluation_items(folder: Path, metric: str) -> Items | None:
    """What every image of the evaluation in `folder` contributed to a score; None where it has
    none of that name."""
    file = folder / ITEMS
    table = read_items(file) if file.exists() else None
    if table is None or metric not in table.column_names:
        return None
    return Items(tuple(table["key"].to_pylist()), None, table[metric].to_numpy())


def check(recipe: ClassifyRecipe) -> None:
    """Raise UserError where no model has the recipe's name for it."""
    known(recipe.model)


STUDY = Study(
    name="classify",
    train=train,
    check=check,
    metrics=METRICS,
    run_items=run_items,
    predict_items=predict_items,
    evaluation_items=evaluation_items,
)
