"""What is looked at before a training has a folder, so that what cannot work leaves nothing behind.

A folder belongs to its recipe and to its data: one that a failed start left would refuse both when
they are mended.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import torch
from torch import nn

from triptych.data.copies import digest
from triptych.errors import UserError
from triptych.progress import bar
from triptych.segment.batches import CachedFrames
from triptych.segment.carried_edges import Trainable
from triptych.segment.recipes import SegmentRecipe

_LOG = logging.getLogger("triptych")

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


def warn_of_copies(train: CachedFrames, val: CachedFrames, *, show_progress: bool = True) -> None:
    """One line where frames of `val` are trained on too, pixel by pixel, which names the first.

    No refusal: `audit` judges it, with near copies, after the training.
    """
    known, scored = (_digests(frames, show_progress) for frames in (train, val))
    shared = _shared(zip(train.keys, known, strict=True), zip(val.keys, scored, strict=True))
    _tell(shared, len(val), f"{val.name} {val.split}")


def warn_of_copies_in_folds(
    frames: CachedFrames, drives: Sequence[str], *, show_progress: bool = True
) -> None:
    """The same of trainings that leave out one of the drives in turn and are scored on it."""
    found = list(zip(frames.groups, frames.keys, _digests(frames, show_progress), strict=True))
    shared: list[tuple[str, str]] = []
    for drive in drives:
        kept = [(key, pixels) for group, key, pixels in found if group != drive]
        left_out = [(key, pixels) for group, key, pixels in found if group == drive]
        shared += _shared(kept, left_out)
    scored = sum(group in drives for group in frames.groups)
    _tell(shared, scored, f"{frames.name} in their folds")


def _digests(frames: CachedFrames, show_progress: bool) -> list[bytes]:
    """Hash of the pixels of every frame; those that are not kept in memory are decoded for it."""
    title = f"hashing {frames.name} {frames.split}"
    found: list[bytes] = []
    with (
        bar(title, len(frames), unit="frame", show=show_progress) as shown,
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8), "hash") as pool,
    ):
        for each in pool.map(lambda index: digest(frames.load(index)[0]), range(len(frames))):
            found.append(each)
            shown.advance()
    return found


def _shared(
    train: Iterable[tuple[str, bytes]], val: Iterable[tuple[str, bytes]]
) -> list[tuple[str, str]]:
    """Keys (in val, in train) of equal hashes, one pair for each frame of val that has one."""
    known: dict[bytes, str] = {}
    for key, pixels in train:
        known.setdefault(pixels, key)
    return [(key, known[pixels]) for key, pixels in val if pixels in known]


def _tell(shared: Sequence[tuple[str, str]], scored: int, where: str) -> None:
    if shared:
        _LOG.warning(
            "%d of %d frames of %s are also trained on (%s is %s, pixel by pixel): scores on them "
            "say nothing of new pictures; take them out of one of the two",
            *(len(shared), scored, where),
            *shared[0],
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
