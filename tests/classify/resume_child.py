"""One training in a process of its own, killed at a given write: run by `test_resume.py`."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import torch

from triptych import recipe as recipes
from triptych.classify import train as training
from triptych.classify.recipes import ClassifyRecipe
from triptych.training import pace, state

SETTINGS = [
    "model=vit-tiny",
    "epochs=3",
    "batch_size=8",
    "evaluate_every=2",
    "drop_path=0.2",
    "ema=0.9",
]
"""Besides what `classify/published` has: repeats, MixUp, CutMix, erasing, all operations."""

FAULTS = Path(__file__).parents[1] / "faults.py"
WRITES = [
    (Path, "write_text"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
    (os, "fsync"), (os, "unlink"), (os, "rmdir"), (state, "save_file"),
]  # fmt: skip


def work(folder: Path, data: Path, precision: str, die_at: int = 0) -> None:
    """Train; with `die_at`, SIGKILL just before the write of that number."""
    torch.set_num_threads(1)
    pace.SAVE_EVERY_SECONDS = 0  # a checkpoint after every step
    os.fsync = lambda _: None  # what a killed process wrote is there without it
    if die_at:
        runpy.run_path(str(FAULTS))["die_at"](die_at, WRITES)
    settings = [*SETTINGS, f"data=folder:{data}", f"precision={precision}"]
    recipe = recipes.override(recipes.get("classify/published"), settings)
    assert isinstance(recipe, ClassifyRecipe)
    training.train(recipe, 3, folder, device="cpu", show_progress=False)


if __name__ == "resume_child":
    work(Path(FOLDER), Path(DATA), PRECISION, DIE_AT)  # noqa: F821 - given by runpy
