"""What the result of every training says."""

from __future__ import annotations

import math
from typing import Any

from torch import nn

from triptych.recipe import Recipe
from triptych.training.cost import training_gflop
from triptych.training.state import TrainState, parameter_count


def result_of(
    recipe: Recipe,
    seed: int,
    state: TrainState,
    *,
    model: nn.Module,
    macs: int,
    data: str,
    scores: dict[str, Any],
    training_macs: int | None = None,
) -> dict[str, Any]:
    """The record for `Run.finish`: scores, and what they cost.

    `model` is what is kept of what was trained, `macs` its multiply-accumulates for one sample,
    `data` the name and the split that the scores are on. `training_macs` are those of one sample on
    its way to the loss, where a training has parts that are not kept; None is `macs`.
    """
    left_out = {"skipped_updates": state.skipped} if state.scaler is not None else {}
    return {
        "recipe": recipe.name,
        "seed": seed,
        "data": data,
        "scores": scores,
        "diverged": state.diverged,
        "epochs": state.epoch,
        "updates": state.step - state.skipped,
        **left_out,
        "samples": state.samples,
        "parameters": parameter_count(model),
        "MACs": macs,
        "training_GFLOP": training_gflop(training_macs or macs, state.samples),
        "times": {"seconds": round(state.seconds, 3)},
    }


def finite(value: float | None) -> float | None:
    """A number that JSON can hold, else None."""
    return value if value is not None and math.isfinite(value) else None
