"""A population in a process of its own, killed at a given write: run by `test_pbt_resume.py`."""

from __future__ import annotations

import os
import runpy
import shutil
from pathlib import Path

import torch

from triptych import recipe as recipes
from triptych.classify.recipes import PopulationRecipe
from triptych.classify.study import STUDY
from triptych.training import pace, state

SETTINGS = [
    "model=vit-tiny",
    "members=3",
    "epochs=3",
    "interval=1",
    "evaluate_every=1",
    "repeats=2",
    "ema=0.9",
    "precision=bfloat16",
]
FAULTS = Path(__file__).parents[1] / "faults.py"
WRITES = [
    (Path, "write_text"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"), (os, "fsync"),
    (os, "link"), (os, "unlink"), (os, "rmdir"), (shutil, "rmtree"), (state, "save_file"),
]  # fmt: skip


def work(folder: Path, data: Path, save_every: float, die_at: int = 0) -> None:
    """Train; with `die_at`, SIGKILL just before the write of that number."""
    torch.set_num_threads(1)
    pace.SAVE_EVERY_SECONDS = save_every  # type: ignore[assignment]
    os.fsync = lambda _: None  # what a killed process wrote is there without it
    if die_at:
        runpy.run_path(str(FAULTS))["die_at"](die_at, WRITES)
    recipe = recipes.override(recipes.get("classify/tiny-pbt"), [*SETTINGS, f"data=folder:{data}"])
    assert isinstance(recipe, PopulationRecipe)
    STUDY.train(recipe, 3, folder, device="cpu", show_progress=False)


if __name__ == "pbt_child":
    work(Path(FOLDER), Path(DATA), SAVE_EVERY, DIE_AT)  # noqa: F821 - given by runpy
