"""Training a segmentation model: one loop, readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from triptych.audit import TESTIMONY
from triptych.data.class_record import write_classes
from triptych.data.copies import count_copies
from triptych.data.labelled import Image, LabelledData
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
)
from triptych.segment.carried_edges import Trainable, WithEdges, without_edges
from triptych.segment.evaluate import evaluate
from triptych.segment.folds import train_folds
from triptych.segment.initialise import initialise
from triptych.segment.joined import with_extra
from triptych.segment.models import create, entry
from triptych.segment.models.from_file import FileModel
from triptych.segment.objective import Objective, loss_fingerprint
from triptych.segment.open_labeller import NetworkLabeller
from triptych.segment.preflight import (
    check_batches,
    check_frames,
    is_begun,
    warn_of_copies,
    warn_of_copies_in_folds,
)
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.scores import headline
from triptych.stopping import StopRequest
from triptych.training.cost import evaluating, macs, macs_of
from triptych.training.device import autocast, device_name, training_device
from triptych.training.ema import Ema
from triptych.training.loss_scale import loss_scaler
from triptych.training.memory import keep_memory
from triptych.training.optimisers import adamw
from triptych.training.pace import Pace
from triptych.training.prefetch import steps_per_epoch
from triptych.training.result import finite, result_of
from triptych.training.schedules import rate, write_rate
from triptych.training.seeding import seed_libraries
from triptych.training.state import TrainState
from triptych.training.step_clock import StepClock, times_of
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
    objective: Objective


def train(
    recipe: SegmentRecipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
    warn: bool = True,
) -> dict[str, Any]:
    """Train a recipe in the run folder `out`, or go on where an earlier start stopped.

    Frames that are scored on and trained on are a warning before the first start, unless `warn` is
    false, and counted in the run's testimony.
    Returns the run's result. Raises `Stopped`, with a checkpoint written, when `stop` asks for it.
    """
    stop = stop or StopRequest()
    place = training_device(device, recipe.precision)
    keep_memory()
    if recipe.folds == "drives":
        return train_folds(
            recipe,
            seed,
            out,
            lambda fold, folder: train(
                fold,
                seed,
                folder,
                device=device,
                stop=stop,
                show_progress=show_progress,
                warn=False,  # `check_folds` has, of all of them
            ),
            lambda frames, drives: check_folds(recipe, seed, frames, drives, place, show_progress),
            runtime_record(device_name(place)),
        )
    train_frames = _open(recipe.data, recipe.train_split, recipe.extra_data)
    val_frames = _open(recipe.val_data or recipe.data, recipe.val_split)
    if val_frames.classes != train_frames.classes:
        raise UserError(
            f"{recipe.val_data} has other classes than {recipe.data}; to evaluate on the data "
            "itself: --set val_data=none"
        )
    fingerprint = {"train": train_frames.fingerprint(), "val": val_frames.fingerprint()}
    fingerprint |= loss_fingerprint(recipe)

    def ready() -> tuple[TrainState, TrainData]:
        shapes = check_frames(train_frames, show_progress=show_progress)
        check_frames(val_frames, show_progress=show_progress)
        state, data = start(recipe, seed, train_frames, val_frames, place)
        check_batches(state.model, recipe, shapes, f"{recipe.data} {recipe.train_split}")
        return state, data

    # What cannot be trained is refused before there is a folder; a run that ended costs nothing.
    made = None if is_begun(out) else ready()
    if made is not None and warn:
        warn_of_copies(train_frames, val_frames, show_progress=show_progress)
    with Run.open(out, recipe, seed, fingerprint, runtime_record(device_name(place))) as run:
        if (done := read_result(out)) is not None:
            return done
        state, data = made or ready()
        write_classes(out, train_frames.classes)
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
        known, copies = hashes_and_copies(data)
        testimony = state.witness.testimony(state.model, known) | {"copies_in_val": copies}
        write_json(out / TESTIMONY, testimony)
        shape = recipe.crop or data.train.load(0)[0].shape[:2]
        net = without_edges(state.model)
        result = result_of(
            recipe,
            seed,
            state,
            model=net,
            macs=macs(net, *shape),
            training_macs=macs_to_the_loss(state, recipe, seed, data),
            data=f"{data.val.name} {data.val.split}",
            scores=headline(scores),
        )
        result["times"] |= times_of(state)
        run.finish(result)
        return result


def hashes_and_copies(data: TrainData) -> tuple[Tensor, dict[str, int]]:
    """Hashes of the frames trained on, and how many of val are copies, see `count_copies`.

    In one pass over both, since what does not fit into memory is decoded for it.
    """
    known: list[Tensor] = []

    def trained_on() -> Iterator[Image]:
        for index in range(len(data.train)):
            image = data.train.load(index)[0]
            known.append(frame_hash(image))
            yield image

    scored_on = (data.val.load(index)[0] for index in range(len(data.val)))
    copies = count_copies(trained_on(), scored_on)
    return torch.cat(known), copies


def macs_to_the_loss(state: TrainState, recipe: SegmentRecipe, seed: int, data: TrainData) -> int:
    """Multiply-accumulates of one picture on its way to the loss, as counted in the first batch.

    Auxiliary and boundary heads and the inverse network count, though none of them is kept.
    """
    device = next(state.model.parameters()).device
    batch = next(epoch_batches(data.train, recipe, seed, 0))
    images, labels = normalise(batch.images.to(device), data), batch.labels.to(device)
    trainable = cast(Trainable, state.model)
    with evaluating(state.model):
        found = macs_of(lambda: data.objective(trainable.forward_train(images), labels))
    return found // len(images)


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
    trainable = cast(Trainable, model)
    steps = steps_per_epoch(len(data.train), recipe.batch_size)
    total = recipe.epochs * steps
    model.train()
    clock = StepClock(state)
    batches = epoch_batches(data.train, recipe, seed, state.epoch, start=state.step_in_epoch)
    for batch in clock.batches(batches):
        write_rate(state.optimiser, rate(recipe, state.step, total), recipe.weight_decay)
        seed_libraries(seed, state.epoch, state.step_in_epoch)
        images = normalise(batch.images.to(device), data)
        if state.witness is not None:
            state.witness.batch(batch.sources, batch.images)
            if state.step_in_epoch == 0:
                state.witness.probe(*probe(data.train, recipe, seed, state.epoch))
        with autocast(device, recipe.precision):
            outputs = trainable.forward_train(images)
        terms = data.objective(outputs, batch.labels.to(device))
        loss = terms["total"]
        state.gradients(loss)
        if state.witness is not None:
            state.witness.update(images, model, state.optimiser)
        state.update()
        if state.ema is not None:
            state.ema.update(model, state.step)
        named = {"loss" if k == "total" else f"loss_{k}": v.item() for k, v in terms.items()}
        state.count_update(len(images), **named)
        clock.end_step()
        after_step()
    means = state.end_epoch()
    last = rate(recipe, state.step - 1, total)
    shown = {name: finite(mean) for name, mean in means.items()}
    run.log(state.step, recipe.train_split, epoch=state.epoch, **shown, lr=last)
    return means["loss"]


def start(
    recipe: SegmentRecipe,
    seed: int,
    train_frames: CachedFrames,
    val_frames: CachedFrames,
    device: torch.device,
) -> tuple[TrainState, TrainData]:
    """A fresh state and the data, before the first step."""
    seed_libraries(seed, "weights")
    net = create(recipe.model, classes=len(train_frames.classes))
    if isinstance(net, FileModel):
        # What fits no picture in training or evaluation is known before there is a folder.
        for frames in (train_frames, val_frames):
            crop = recipe.crop if frames is train_frames else None
            net.check(*(crop or frames.load(0)[0].shape[:2]))
    initialise(net, recipe)
    model: nn.Module = net if recipe.boundary == "none" else WithEdges(net)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = TrainState(
        model=model,
        optimiser=adamw(model, recipe.lr, recipe.weight_decay, trunk_lr=recipe.trunk_lr),
        ema=Ema(model, recipe.ema) if recipe.ema else None,
        witness=Witness(model),
        scaler=loss_scaler(recipe.precision, device),
    )
    wants = entry(recipe.model).normalisation
    data = TrainData(
        train=train_frames,
        val=val_frames,
        mean=torch.tensor(wants.mean, device=device).view(3, 1, 1),
        std=torch.tensor(wants.std, device=device).view(3, 1, 1),
        scale=wants.scale,
        objective=Objective(recipe, train_frames).to(device),
    )
    return state, data


def check_folds(
    recipe: SegmentRecipe,
    seed: int,
    frames: LabelledData,
    drives: Sequence[str],
    device: torch.device,
    show_progress: bool,
) -> None:
    """Raise UserError where a training without one of the drives could not be begun."""
    whole = CachedFrames(frames)
    shapes = check_frames(whole, show_progress=show_progress)
    state, _ = start(recipe, seed, whole, whole, device)
    for drive in drives:
        kept = [s for s, group in zip(shapes, frames.groups, strict=True) if group != drive]
        check_batches(state.model, recipe, kept, f"{recipe.data} not-drive:{drive}")
    warn_of_copies_in_folds(whole, drives, show_progress=show_progress)


def _open(spec: str, split: str, extra: str | None = None) -> CachedFrames:
    frames = with_extra(open_data(spec, split), extra)
    if not len(frames):
        raise UserError(f"{spec}: the split {split} has no frames")
    return CachedFrames(frames)


def normalise(images: Tensor, data: TrainData) -> Tensor:
    """uint8 pictures (N, 3, H, W) as the model wants them, float32, channels_last."""
    wide = images.float().contiguous(memory_format=torch.channels_last)
    return wide.mul_(data.scale).sub_(data.mean).div_(data.std)


def labeller(state: TrainState, recipe: SegmentRecipe, data: TrainData) -> NetworkLabeller:
    """The model as it stands (its averaged weights where there are some), in float32."""
    model = state.model if state.ema is None else state.ema.model
    classes = data.train.classes
    prepared = Prepared(
        without_edges(model),
        entry(recipe.model).normalisation,
        len(classes),
        runtime=Runtime("torch"),
        device=next(model.parameters()).device,
    )
    return NetworkLabeller(recipe.model, classes, prepared)
