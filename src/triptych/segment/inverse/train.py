"""Training an inverse network: one loop, readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from triptych.audit import TESTIMONY
from triptych.data.labelled import LabelledData
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.run import Run, read_result, write_json
from triptych.runtime import runtime_record
from triptych.segment.inverse.homography import warp
from triptych.segment.inverse.measure import measure
from triptych.segment.inverse.networks import TILE, InverseNet
from triptych.segment.inverse.pairs import Boundaries, Pairs, centre, draw_pairs
from triptych.segment.inverse.recipe import InverseRecipe
from triptych.segment.preflight import is_begun
from triptych.stopping import StopRequest
from triptych.training.cost import macs_of
from triptych.training.device import autocast, device_name, training_device
from triptych.training.loss_scale import loss_scaler
from triptych.training.memory import keep_memory
from triptych.training.optimisers import adamw
from triptych.training.pace import Pace
from triptych.training.result import finite, result_of
from triptych.training.schedules import rate, write_rate
from triptych.training.seeding import seed_libraries, stream
from triptych.training.state import TrainState
from triptych.training.witness import Witness


@dataclass(frozen=True)
class TrainData:
    """The boundary maps of the two splits."""

    train: Boundaries
    val: Boundaries


def train(
    recipe: InverseRecipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Train a recipe in the run folder `out`, or go on where an earlier start stopped.

    Returns the run's result. Raises `Stopped`, with a checkpoint written, when `stop` asks for it.
    """
    stop = stop or StopRequest()
    place = training_device(device, recipe.precision)
    keep_memory()
    train_frames = _open(recipe.data, recipe.train_split)
    val_frames = _open(recipe.val_data or recipe.data, recipe.val_split)
    fingerprint = {"train": train_frames.fingerprint(), "val": val_frames.fingerprint()}

    def read() -> TrainData:
        return TrainData(
            Boundaries(train_frames, recipe.frames, show_progress=show_progress),
            Boundaries(val_frames, recipe.frames, show_progress=show_progress),
        )

    # Labels that cannot be trained on are refused before there is a folder.
    found = None if is_begun(out) else read()
    with Run.open(out, recipe, seed, fingerprint, runtime_record(device_name(place))) as run:
        if (done := read_result(out)) is not None:
            return done
        data = found or read()
        state = start(recipe, seed, place)
        run.restore(state)
        with Pace.keeping(
            run,
            state,
            title=f"{recipe.name} seed {seed}",
            total=recipe.epochs * steps_per_epoch(recipe),
            stop=stop,
            show_progress=show_progress,
        ) as pace:
            while state.epoch < recipe.epochs and not state.diverged:
                loss = train_epoch(state, recipe, seed, data, run, pace.after_step)
                state.diverged = not math.isfinite(loss)
                scores = headline(measure(network(state), data.val, recipe))
                run.log(state.step, recipe.val_split, epoch=state.epoch, **scores)
                pace.save()
        assert state.witness is not None
        write_json(out / TESTIMONY, state.witness.testimony(state.model, data.train.hashes))
        measured = measure(network(state), data.val, recipe)
        result = result_of(
            recipe,
            seed,
            state,
            model=state.model,
            macs=macs_of_pair(network(state)),
            data=f"{val_frames.name} {val_frames.split}",
            scores=headline(measured),
        )
        result["by_coefficient"] = measured["by_coefficient"]
        run.finish(result)
        return result


def _open(spec: str, split: str) -> LabelledData:
    frames = open_data(spec, split)
    if not len(frames):
        raise UserError(f"{spec}: the split {split} has no frames")
    return frames


def train_epoch(
    state: TrainState,
    recipe: InverseRecipe,
    seed: int,
    data: TrainData,
    run: Run,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """One epoch, or the rest of one; returns its mean loss and logs it.

    The loss is the mean square of the coefficients' errors. All are in the same unit, see
    `homography.py`. `after_step` is called with the state whole, so it may save it, and may raise.
    """
    model, device = network(state), next(state.model.parameters()).device
    steps = steps_per_epoch(recipe)
    total = recipe.epochs * steps
    model.train()
    while state.step_in_epoch < steps:
        write_rate(state.optimiser, rate(recipe, state.step, total), recipe.weight_decay)
        seed_libraries(seed, state.epoch, state.step_in_epoch)
        pairs = batch(recipe, seed, state.epoch, state.step_in_epoch, data)
        _note(state, data, pairs)
        warped, true = pairs.warped.to(device), pairs.true.to(device)
        with autocast(device, recipe.precision):
            coefficients = model(warped, true)
        loss = (coefficients.float() - pairs.coordinates.to(device)).square().mean()
        state.gradients(loss)
        if state.witness is not None:
            state.witness.update(warped, model, state.optimiser)
        state.update()
        state.count_update(len(warped), loss=loss.item())
        after_step()
    mean = state.end_epoch()["loss"]
    last = rate(recipe, state.step - 1, total)
    run.log(state.step, recipe.train_split, epoch=state.epoch, loss=finite(mean), lr=last)
    return mean


def start(recipe: InverseRecipe, seed: int, device: torch.device) -> TrainState:
    """A fresh state, before the first step."""
    seed_libraries(seed, "weights")
    model = InverseNet()
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainState(
        model=model,
        optimiser=adamw(model, recipe.lr, recipe.weight_decay),
        witness=Witness(model),
        scaler=loss_scaler(recipe.precision, device),
    )


def network(state: TrainState) -> InverseNet:
    """The network that is trained."""
    assert isinstance(state.model, InverseNet)
    return state.model


def batch(recipe: InverseRecipe, seed: int, epoch: int, step: int, data: TrainData) -> Pairs:
    """The pairs of one step, the same whenever they are drawn."""
    return draw_pairs(data.train, recipe, recipe.batch_size, stream(seed, "pairs", epoch, step))


def steps_per_epoch(recipe: InverseRecipe) -> int:
    """Updates of an epoch; at least one."""
    return max(recipe.pairs // recipe.batch_size, 1)


def macs_of_pair(model: InverseNet) -> int:
    """Multiply-accumulates for one pair of tiles."""
    tile = torch.zeros(1, 1, TILE, TILE, device=next(model.parameters()).device)
    return macs_of(lambda: model(tile, tile))


def headline(measured: dict[str, Any]) -> dict[str, Any]:
    """The scores that a run's log and result show."""
    return {name: measured[name] for name in ("relative_error", "degraded_error", "ranking")}


def _note(state: TrainState, data: TrainData, pairs: Pairs) -> None:
    """Tell the witness what enters the model, and once an epoch what one tile becomes."""
    if state.witness is None:
        return
    state.witness.batch(pairs.sources, pairs.warped)
    if state.step_in_epoch == 0:
        one = data.train.cut(data.train.windows[:1]).expand(len(pairs.coordinates), -1, -1, -1)
        moved = warp(one, pairs.coordinates, TILE)
        state.witness.probe(moved, centre(one).contiguous())
