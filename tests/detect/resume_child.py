"""One training in a process of its own, killed at a given write: run by `test_resume.py`."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import torch

from triptych import recipe as recipes
from triptych.detect import train as training
from triptych.detect.recipes import DetectRecipe
from triptych.training import pace, state

SETTINGS = [
    "val_data=none",
    "epochs=2",
    "batch_size=2",
    "evaluate_every=1",
    "ema=0.5",
    "saturation=0.3",
]
FAULTS = Path(__file__).parents[1] / "faults.py"
WRITES = [
    (Path, "write_text"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
    (os, "fsync"), (os, "unlink"), (os, "rmdir"), (state, "save_file"),
]  # fmt: skip


def work(folder: Path, data: str, die_at: int = 0) -> None:
    """Train; with `die_at`, SIGKILL just before the write of that number."""
    torch.set_num_threads(1)
    pace.SAVE_EVERY_SECONDS = 0  # a checkpoint after every step
    if die_at:
        runpy.run_path(str(FAULTS))["die_at"](die_at, WRITES)
    recipe = recipes.override(recipes.get("detect/tiny"), [*SETTINGS, f"data={data}"])
    assert isinstance(recipe, DetectRecipe)
    training.train(recipe, 3, folder, device="cpu", show_progress=False)


if __name__ == "detect_resume_child":
    work(Path(FOLDER), DATA, DIE_AT)  # noqa: F821 - given by runpy
