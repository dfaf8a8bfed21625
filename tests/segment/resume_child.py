"""One training in a process of its own, killed at a given write: run by `test_resume.py`."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import torch

from triptych import recipe as recipes
from triptych.segment import train as training
from triptych.segment.recipes import SegmentRecipe
from triptych.training import pace, state

SETTINGS = [
    "data=streets:scenes=2,frames=2,size=64x48",
    "val_data=none",
    "epochs=2",
    "batch_size=2",
    "evaluate_every=1",
]
RICH = [
    "model=ocr-lite0",
    "precision=bfloat16",
    "boundary=inverseform",
    "class_weights=log",
    "trunk_lr=0.3",
    "crop=32,48",
    "scale=0.7,1.4",
    "rare_crops=0.5",
    "gamma=0.5",
    "white_balance=0.1",
    "saturation=0.5",
    "noise=8",
    "blur=1",
]
"""Everything that a recipe can ask for: edge head, averaged weights, dropout, all augmentation."""

FAULTS = Path(__file__).parents[1] / "faults.py"
WRITES = [
    (Path, "write_text"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
    (os, "fsync"), (os, "unlink"), (os, "rmdir"), (state, "save_file"),
]  # fmt: skip


def work(folder: Path, die_at: int = 0, rich: bool = False) -> None:
    """Train; with `die_at`, SIGKILL just before the write of that number."""
    torch.set_num_threads(1)
    pace.SAVE_EVERY_SECONDS = 0  # a checkpoint after every step
    if die_at:
        runpy.run_path(str(FAULTS))["die_at"](die_at, WRITES)
    recipe = recipes.override(recipes.get("segment/tiny"), SETTINGS + RICH * rich)
    assert isinstance(recipe, SegmentRecipe)
    training.train(recipe, 3, folder, device="cpu", show_progress=False)


if __name__ == "resume_child":
    work(Path(FOLDER), DIE_AT, RICHLY)  # noqa: F821 - given by runpy
