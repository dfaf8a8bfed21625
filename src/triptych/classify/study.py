"""The `classify` study as the core sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from triptych.classify.evaluate import read_items
from triptych.classify.predictions import predict_items
from triptych.classify.train import train
from triptych.evaluation_folder import ITEMS
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
    split = "val" if metric.startswith("val_") else "test"
    found: list[Any] = sorted((folder / "evaluations").glob(f"*-{split}/{ITEMS}"))
    if not found:
        return None
    table = read_items(found[0])
    values = table[metric.removeprefix("val_")].to_numpy()
    return Items(tuple(table["key"].to_pylist()), None, values)


STUDY = Study(
    name="classify",
    train=train,
    metrics=METRICS,
    run_items=run_items,
    predict_items=predict_items,
)
