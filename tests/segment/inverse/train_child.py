"""One training of an inverse network in a process of its own, killed at a given step."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch

from triptych import recipe as recipes
from triptych.segment.inverse import train as training
from triptych.segment.inverse.recipe import InverseRecipe
from triptych.training import pace

SETTINGS = [
    "data=streets:scenes=2,frames=1,size=160x128",
    "val_data=none",
    "epochs=2",
    "pairs=24",
    "batch_size=6",
    "val_pairs=8",
]


def work(folder: Path, die_at: int = 0) -> dict[str, Any]:
    """Train; with `die_at`, SIGKILL before the batch of that number is drawn."""
    torch.set_num_threads(1)
    pace.SAVE_EVERY_SECONDS = 0  # a checkpoint after every step
    recipe = recipes.override(recipes.get("segment/inverse"), SETTINGS)
    assert isinstance(recipe, InverseRecipe)
    if die_at:
        _die_at(die_at)
    return training.train(recipe, 3, folder, device="cpu", show_progress=False)


def _die_at(number: int) -> None:
    count = 0
    draw = training.batch

    def counted(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return draw(*arguments)

    training.batch = counted


if __name__ == "train_child":
    work(Path(FOLDER), DIE_AT)  # noqa: F821 - given by runpy
