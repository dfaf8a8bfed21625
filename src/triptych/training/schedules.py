"""Learning rate over a run, as a factor of its peak."""

from __future__ import annotations

import math
from typing import Literal, Protocol

Schedule = Literal["constant", "cosine", "poly"]


def factor(
    schedule: Schedule, progress: float, *, warmup: float = 0.0, floor: float = 0.0
) -> float:
    """Factor of the peak learning rate at `progress` (0 at the first update, 1 at the end).

    A linear warm-up over the share `warmup` of the run, then constant, cosine (Loshchilov 2017)
    or poly with power 0.9 (Chen 2017, DeepLab), from 1 down to `floor`.
    """
    if progress < warmup:
        return progress / warmup
    after = min(max((progress - warmup) / (1 - warmup), 0.0), 1.0) if warmup < 1 else 1.0
    if schedule == "constant":
        return 1.0
    shape = (1 + math.cos(math.pi * after)) / 2 if schedule == "cosine" else (1 - after) ** 0.9
    return floor + (1 - floor) * shape


class Scheduled(Protocol):
    """A recipe whose learning rate follows a schedule."""

    @property
    def lr(self) -> float: ...
    @property
    def schedule(self) -> Schedule: ...
    @property
    def warmup(self) -> float: ...


def rate(recipe: Scheduled, step: int, total: int, *, floor: float = 0.0) -> float:
    """The learning rate of update `step`, from 0, of `total`."""
    return recipe.lr * factor(recipe.schedule, step / total, warmup=recipe.warmup, floor=floor)


def write_rate(optimiser: object, lr: float, weight_decay: float) -> None:
    """Write both into the optimiser. Done at every step, so that restoring an optimiser can never
    undo a changed hyperparameter."""
    for group in optimiser.param_groups:  # type: ignore[attr-defined]
        group["lr"] = lr * group.get("multiple", 1.0)
        group["weight_decay"] = weight_decay if group.get("decayed", True) else 0.0
