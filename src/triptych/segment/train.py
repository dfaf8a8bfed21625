"""Training a segmentation model: one loop, readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from triptych.audit import TESTIMONY
from triptych.data.classes import VOID
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.inference import Prepared, Runtime
from triptych.run import Run, read_result, write_json
from triptych.runtime import runtime_record
from triptych.segment.batches import (
    CachedFrames,
    epoch_batches,
    frame_hash,
    probe,
    steps_per_epoch,
)
from triptych.segment.evaluate import evaluate
from triptych.segment.models import create, entry
from triptych.segment.open_labeller import NetworkLabeller
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.trained import write_classes
from triptych.stopping import StopRequest
from triptych.training.cost import macs, training_gflop
from triptych.training.device import autocast, device_name, pick_device
from triptych.training.ema import Ema
from triptych.training.memory import keep_memory
from triptych.training.optimisers import adamw
from triptych.training.pace import Pace
from triptych.training.schedules import factor, write_rate
from triptych.training.seeding import seed_libraries
from triptych.training.state import TrainState, parameter_count
from triptych.training.witness import Witness


@dataclass(frozen=True)
class TrainData:
    """The two splits of a training, and how the model wants its pictures."""

    train: CachedFrames
    val: CachedFrames
    mean: Tensor
    """(3, 1, 1), subtracted from pixels that were multiplied by `scale`."""
    std: Tensor
    scale: float


def train(
    recipe: SegmentRecipe,
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
    place = pick_device(device)
    keep_memory()
    train_frames = _open(recipe.data, recipe.train_split)
    val_frames = _open(recipe.val_data or recipe.data, recipe.val_split)
    if val_frames.classes != train_frames.classes:
        raise UserError(
            f"{recipe.val_data} has other classes than {recipe.data}; to evaluate on the data "
            "itself: --set val_data=none"
        )
    fingerprint = {"train": train_frames.fingerprint(), "val": val_frames.fingerprint()}
    with Run.open(out, recipe, seed, fingerprint, runtime_record(device_name(place))) as run:
        if (done := read_result(out)) is not None:
            return done
        write_classes(out, train_frames.classes)
        state, data = start(recipe, seed, train_frames, val_frames, place)
        run.restore(state)
        total = recipe.epochs * steps_per_epoch(len(data.train), recipe.batch_size)
        with Pace.keeping(
            run,
            state,
            title=f"{recipe.name} seed {seed}",
            total=total,
            stop=stop,
            show_progress=show_progress,
        ) as pace:
            while state.epoch < recipe.epochs and not state.diverged:
                loss = train_epoch(state, recipe, seed, data, run, pace.after_step)
                state.diverged = not math.isfinite(loss)
                if state.epoch % recipe.evaluate_every == 0 and state.epoch < recipe.epochs:
                    scores = evaluate(labeller(state, recipe, data), data.val, progress=False)
                    run.log(state.step, recipe.val_split, epoch=state.epoch, **headline(scores))
                pace.save()
        scores = evaluate(
            labeller(state, recipe, data),
            data.val,
            out=out / "evaluations" / f"{data.val.name}-{data.val.split}",
            progress=show_progress,
        )
        run.log(state.step, recipe.val_split, epoch=state.epoch, **headline(scores))
        assert state.witness is not None
        known = [frame_hash(data.train.load(index)[0]) for index in range(len(data.train))]
        write_json(out / TESTIMONY, state.witness.testimony(state.model, torch.cat(known)))
        shape = recipe.crop or data.train.load(0)[0].shape[:2]
        cost = macs(state.model, *shape)
        result = {
            "recipe": recipe.name,
            "seed": seed,
            "data": f"{data.val.name} {data.val.split}",
            "scores": headline(scores),
            "diverged": state.diverged,
            "epochs": state.epoch,
            "updates": state.step,
            "samples": state.samples,
            "parameters": parameter_count(state.model),
            "MACs": cost,
            "training_GFLOP": training_gflop(cost, state.samples),
            "times": {"seconds": round(state.seconds, 3)},
        }
        run.finish(result)
        return result


def train_epoch(
    state: TrainState,
    recipe: SegmentRecipe,
    seed: int,
    data: TrainData,
    run: Run,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """One epoch, or the rest of one; returns its mean loss and logs it.

    `after_step` is called with the state whole, so it may save it, and may raise.
    """
    model, device = state.model, next(state.model.parameters()).device
    steps = steps_per_epoch(len(data.train), recipe.batch_size)
    total = recipe.epochs * steps
    model.train()
    batches = epoch_batches(data.train, recipe, seed, state.epoch, start=state.step_in_epoch)
    for batch in batches:
        write_rate(state.optimiser, rate(recipe, state.step, total), recipe.weight_decay)
        seed_libraries(seed, state.epoch, state.step_in_epoch)
        images = normalise(batch.images.to(device), data)
        if state.witness is not None:
            state.witness.batch(batch.sources, batch.images)
            if state.step_in_epoch == 0:
                state.witness.probe(*probe(data.train, recipe, seed, state.epoch))
        with autocast(device, recipe.precision):
            logits = model(images)
        loss = pixel_loss(logits.float(), batch.labels.to(device))
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if state.witness is not None:
            state.witness.update(images, model, state.optimiser)
        state.optimiser.step()
        if state.ema is not None:
            state.ema.update(model, state.step)
        state.step += 1
        state.step_in_epoch += 1
        state.samples += len(images)
        state.sums["loss"] = state.sums.get("loss", 0.0) + loss.item()
        after_step()
    mean = state.sums["loss"] / state.step_in_epoch
    if state.witness is not None:
        state.witness.end_epoch()
    state.epoch += 1
    state.step_in_epoch = 0
    state.sums = {}
    finite = mean if math.isfinite(mean) else None
    last = rate(recipe, state.step - 1, total)
    run.log(state.step, recipe.train_split, epoch=state.epoch, loss=finite, lr=last)
    return mean


def rate(recipe: SegmentRecipe, step: int, total: int) -> float:
    """The learning rate of an update."""
    return recipe.lr * factor(recipe.schedule, step / total, warmup=recipe.warmup)


def start(
    recipe: SegmentRecipe,
    seed: int,
    train_frames: CachedFrames,
    val_frames: CachedFrames,
    device: torch.device,
) -> tuple[TrainState, TrainData]:
    """A fresh state and the data, before the first step."""
    seed_libraries(seed, "weights")
    model = create(recipe.model, classes=len(train_frames.classes))
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainState(
        model=model,
        optimiser=adamw(model, recipe.lr, recipe.weight_decay),
        ema=Ema(model, recipe.ema) if recipe.ema else None,
        witness=Witness(model),
    )
    wants = entry(recipe.model).normalisation
    data = TrainData(
        train=train_frames,
        val=val_frames,
        mean=torch.tensor(wants.mean, device=device).view(3, 1, 1),
        std=torch.tensor(wants.std, device=device).view(3, 1, 1),
        scale=wants.scale,
    )
    return state, data


def _open(spec: str, split: str) -> CachedFrames:
    frames = CachedFrames(open_data(spec, split))
    if not len(frames):
        raise UserError(f"{spec}: the split {split} has no frames")
    return frames


def normalise(images: Tensor, data: TrainData) -> Tensor:
    """uint8 pictures (N, 3, H, W) as the model wants them, float32, channels_last."""
    wide = images.float().contiguous(memory_format=torch.channels_last)
    return wide.mul_(data.scale).sub_(data.mean).div_(data.std)


def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over the pixels that are not void; 0 where all are."""
    loss = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="sum")
    return loss / (labels != VOID).sum().clamp(min=1)


def labeller(state: TrainState, recipe: SegmentRecipe, data: TrainData) -> NetworkLabeller:
    """The model as it stands (its averaged weights where there are some), in float32."""
    model = state.model if state.ema is None else state.ema.model
    classes = data.train.classes
    prepared = Prepared(
        model,
        entry(recipe.model).normalisation,
        len(classes),
        runtime=Runtime("torch"),
        device=next(model.parameters()).device,
    )
    return NetworkLabeller(recipe.model, classes, prepared)


def headline(scores: dict[str, Any]) -> dict[str, Any]:
    """The scores that a run's log and result show; the rest is in its evaluation."""
    return {name: scores[name] for name in ("mIoU", "pixel_accuracy", "BF")}
