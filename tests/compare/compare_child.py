"""One `triptych compare` in a process of its own: run by `test_resume.py`."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import torch

from triptych import cli
from triptych.training import pace


def work(folder: Path, data: Path) -> int:
    """Two models of a seed each after the other, a checkpoint after every step."""
    torch.set_num_threads(1)
    pace.SAVE_EVERY_SECONDS = 0
    os.fsync = lambda _: None  # what a killed process wrote is there without it
    line = (
        *("compare", "classify/tiny", "classify/tiny:model=vit-tiny"),
        *("--varies", "model", "--metric", "top1", "--margin", "0.05"),
        *("--set", f"data=folder:{data}", "--set", "epochs=2", "--set", "batch_size=16"),
        *("--set", "repeats=2", "--set", "evaluate_every=1"),
        *("--seeds", "3", "--out", str(folder)),
    )
    with (
        Path(os.devnull).open("w") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        return cli.main(line)


if __name__ == "compare_child":
    sys.exit(work(Path(FOLDER), Path(DATA)))  # noqa: F821 - given by runpy
