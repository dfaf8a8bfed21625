"""What is looked at before a training has a folder, so that what cannot work leaves nothing behind.

A folder belongs to its recipe and to its data: one that a failed start left would refuse both when
they are mended.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import torch
from torch import nn

from triptych.errors import UserError
from triptych.progress import bar
from triptych.segment.batches import CachedFrames
from triptych.segment.carried_edges import Trainable
from triptych.segment.recipes import SegmentRecipe

_ONE_VALUE = "Expected more than 1 value per channel"
"""How PyTorch's batch norm begins to refuse a map of one value for each channel."""


def is_begun(out: Path) -> bool:
    """Whether a run has its folder, and thus has passed."""
    return (out / "recipe.json").exists()


def check_frames(frames: CachedFrames, *, show_progress: bool = True) -> list[tuple[int, int]]:
    """Height and width of every frame, each looked at once, see `CachedFrames.check`.

    Raises UserError naming the first file that cannot be used.
    """
    shapes: list[tuple[int, int]] = []
    title = f"checking {frames.name} {frames.split}"
    with (
        bar(title, len(frames), unit="frame", show=show_progress) as shown,
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8), "check") as pool,
    ):
        for shape in pool.map(frames.check, range(len(frames))):
            shapes.append(shape)
            shown.advance()
    return shapes


def check_batches(
    model: nn.Module, recipe: SegmentRecipe, shapes: Sequence[tuple[int, int]], where: str
) -> None:
    """Whether frames of these shapes (H, W), all that are trained on, make batches to learn from.

    Raises UserError where they differ and are not cropped, and where batches hold one picture that
    is too small for the model's batch norm. `where` names the frames in an error.
    """
    if recipe.crop is None and recipe.batch_size > 1 and len(set(shapes)) > 1:
        raise UserError(f"the frames of {where} have different sizes; crop them: --set crop=H,W")
    if min(recipe.batch_size, len(shapes)) > 1:
        return
    height, width = recipe.crop or min(shapes, key=lambda shape: shape[0] * shape[1])
    if _learns_from_one(model, height, width):
        return
    if recipe.batch_size > 1:
        raise UserError(
            f"{where} has one frame, and {recipe.model} cannot train on batches of one picture of "
            f"{width}x{height}: it needs more frames"
        )
    raise UserError(
        f"{recipe.model} cannot train on batches of one picture of {width}x{height}, of which its "
        "batch norm sees one value: --set batch_size=2 or more"
    )


def _learns_from_one(model: nn.Module, height: int, width: int) -> bool:
    """Whether a copy of the model in training can be run on one picture."""
    trial = copy.deepcopy(model).train()
    device = next(trial.parameters()).device
    try:
        with torch.no_grad():
            cast(Trainable, trial).forward_train(torch.zeros(1, 3, height, width, device=device))
    except UserError:  # a head that knows it
        return False
    except ValueError as error:
        if str(error).startswith(_ONE_VALUE):
            return False
        raise
    return True
