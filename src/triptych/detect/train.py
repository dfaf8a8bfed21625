"""Training a detector: one loop, readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from triptych.audit import TESTIMONY
from triptych.data.boxes import DetectionData, left_out_of
from triptych.data.copies import count_copies
from triptych.data.labelled import Image
from triptych.data.open_detection import open_detection
from triptych.detect.augment import padded
from triptych.detect.batches import (
    CachedPictures,
    as_bytes,
    epoch_batches,
    hashes,
    plain_batches,
    probe,
)
from triptych.detect.class_names import write_class_names
from triptych.detect.cost import median_shape, picture_macs
from triptych.detect.evaluate import evaluate
from triptych.detect.initialise import STATISTICS_IMAGES, initialise
from triptych.detect.initialise_record import INIT, InitRecord
from triptych.detect.initialise_weights import init_digest
from triptych.detect.items import Rules
from triptych.detect.models import create, entry
from triptych.detect.models.detector import Detector, Target, losses
from triptych.detect.models.freezing import changed, check_start
from triptych.detect.models.layout import placed
from triptych.detect.predictor import NetworkPredictor
from triptych.detect.recipes import DetectRecipe
from triptych.detect.scores import headline
from triptych.detect.subset import Subset
from triptych.errors import UserError
from triptych.run import Run, read_result, write_json
from triptych.runtime import runtime_record
from triptych.stopping import StopRequest
from triptych.training.device import autocast, device_name, training_device
from triptych.training.ema import Ema
from triptych.training.loss_scale import loss_scaler
from triptych.training.memory import keep_memory
from triptych.training.optimisers import adamw, sgd
from triptych.training.pace import Pace
from triptych.training.prefetch import steps_per_epoch
from triptych.training.result import finite, result_of
from triptych.training.schedules import rate, write_rate
from triptych.training.seeding import derive, seed_libraries, stream
from triptych.training.state import TrainState
from triptych.training.step_clock import StepClock, times_of
from triptych.training.witness import Witness

EVALUATION_BATCH = 8


@dataclass(frozen=True)
class TrainData:
    """The two splits of a training."""

    train: CachedPictures
    val: CachedPictures


def train(
    recipe: DetectRecipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Train a recipe in the run folder `out`, or go on where an earlier start stopped.

    Returns the run's result. Its MACs are those of one training picture (see `picture_macs`) of
    median shape, of which `MACs_size` is the height and width with which it enters the network.
    Raises `Stopped`, with a checkpoint written, when `stop` asks for it.
    """
    stop = stop or StopRequest()
    check_start(recipe.init, recipe.norm, recipe.frozen_stages, as_ran=recipe.frozen_random)
    place = training_device(device, recipe.precision)
    keep_memory()
    data = _open(recipe)
    fingerprint = {"train": data.train.fingerprint(), "val": data.val.fingerprint()}
    fingerprint["init"] = init_digest(recipe.model, recipe.init)

    # What cannot be trained is refused before there is a folder; a run that ended costs nothing.
    begun = (out / "recipe.json").exists()
    made = None if begun else start(recipe, seed, data, place)
    with Run.open(out, recipe, seed, fingerprint, runtime_record(device_name(place))) as run:
        if (done := read_result(out)) is not None:
            return done
        state, record = made or start(recipe, seed, data, place)
        write_class_names(out, data.train.classes)
        write_json(out / INIT, record.as_json())
        run.restore(state)
        model = cast(Detector, state.model)
        total = recipe.epochs * steps_per_epoch(len(data.train), recipe.batch_size)
        with Pace.keeping(
            run,
            state,
            title=f"{recipe.name} {recipe.init} seed {seed}",
            total=total,
            stop=stop,
            show_progress=show_progress,
        ) as pace:
            while state.epoch < recipe.epochs and not state.diverged:
                loss = train_epoch(state, recipe, seed, data, run, pace.after_step)
                state.diverged = not math.isfinite(loss)
                shown = {} if state.diverged else validation_loss(state, recipe, data, seed)
                if state.epoch % recipe.evaluate_every == 0 and state.epoch < recipe.epochs:
                    shown |= headline(score(state, recipe, data, show_progress=False))
                run.log(state.step, recipe.val_split, epoch=state.epoch, **shown)
                pace.save()
        scores = score(
            state,
            recipe,
            data,
            out=out / "evaluations" / f"{data.val.name}-{data.val.split}",
            show_progress=show_progress,
        )
        run.log(state.step, recipe.val_split, epoch=state.epoch, **headline(scores))
        assert state.witness is not None
        testimony = state.witness.testimony(model, hashes(pictures_of(data.train)))
        kinds = ("entries_never_changed", "entries_unmoved", "entries_idle")
        never = {name for kind in kinds for name in testimony[kind]}
        testimony["parts"] = changed(model, never)
        testimony["copies_in_val"] = count_copies(pictures_of(data.train), pictures_of(data.val))
        write_json(out / TESTIMONY, testimony)
        shape = median_shape(data.train)
        result = result_of(
            recipe,
            seed,
            state,
            model=model,
            macs=picture_macs(model, *shape),
            data=f"{data.val.name} {data.val.split}",
            scores=headline(scores),
        )
        result["times"] |= times_of(state)
        result["init"] = record.as_json()
        result["MACs_size"] = list(padded(*shape, model.settings))
        if not recipe.strict:
            result["left_out"] = {
                "train": left_out_of(data.train),
                "val": left_out_of(data.val),
            }
        run.finish(result)
        return result


def train_epoch(
    state: TrainState,
    recipe: DetectRecipe,
    seed: int,
    data: TrainData,
    run: Run,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """One epoch, or the rest of one; returns its mean loss and logs it.

    `after_step` is called with the state whole, so it may save it, and may raise.
    """
    model = cast(Detector, state.model)
    device = next(model.parameters()).device
    learning = [p for p in model.parameters() if p.requires_grad]
    total = recipe.epochs * steps_per_epoch(len(data.train), recipe.batch_size)
    model.train()
    clock = StepClock(state)
    batches = epoch_batches(
        data.train, recipe, model.settings, seed, state.epoch, start=state.step_in_epoch
    )
    for batch in clock.batches(batches):
        lr = rate(recipe, state.step, total, floor=recipe.floor)
        write_rate(state.optimiser, lr, recipe.weight_decay)
        # torchvision draws the anchors and proposals to learn from with the global generator.
        seed_libraries(seed, state.epoch, state.step_in_epoch)
        images, targets = on_device(batch.images, batch.targets, device)
        if state.witness is not None:
            state.witness.batch(batch.sources, batch.versions)
            if state.step_in_epoch == 0:
                state.witness.probe(*probe(data.train, recipe, model.settings, seed, state.epoch))
        with autocast(device, recipe.precision):
            terms = cast(dict[str, Tensor], model(images, targets))
        loss: Tensor = torch.stack([term.float() for term in terms.values()]).sum()
        state.gradients(loss)
        if recipe.clip:
            torch.nn.utils.clip_grad_norm_(learning, recipe.clip)
        if state.witness is not None:
            state.witness.update(largest(images), model, state.optimiser)
        state.update()
        if state.ema is not None:
            state.ema.update(model, state.step)
        values = torch.stack([loss.detach(), *(t.detach().float() for t in terms.values())])
        named = dict(zip(("loss", *terms), values.tolist(), strict=True))
        state.count_update(len(images), **named)
        clock.end_step()
        after_step()
    means = state.end_epoch()
    last = rate(recipe, state.step - 1, total, floor=recipe.floor)
    shown = {name: finite(mean) for name, mean in means.items()}
    run.log(state.step, recipe.train_split, epoch=state.epoch, **shown, lr=last)
    return means["loss"]


def validation_loss(
    state: TrainState, recipe: DetectRecipe, data: TrainData, seed: int
) -> dict[str, float | None]:
    """The four losses and their sum over the validation split, each picture counted once.

    In evaluation mode, of pictures that are not augmented; what torchvision draws at random
    (anchors, proposals) is drawn alike in every epoch and in every arm.
    """
    model = evaluated(state)
    device = next(model.parameters()).device
    sums: dict[str, float] = {}
    batches = plain_batches(data.val, model.settings, recipe, EVALUATION_BATCH)
    for number, (images, targets) in enumerate(batches):
        inputs, wanted = on_device(images, targets, device)
        terms = losses(model, inputs, wanted, seed=derive(seed, "validation loss", number))
        named = {"loss": sum(value.item() for value in terms.values())}
        for name, value in (named | {name: t.item() for name, t in terms.items()}).items():
            sums[name] = sums.get(name, 0.0) + value * len(images)
    return {name: finite(total / len(data.val)) for name, total in sums.items()}


def score(
    state: TrainState,
    recipe: DetectRecipe,
    data: TrainData,
    *,
    out: Path | None = None,
    show_progress: bool,
) -> dict[str, Any]:
    """The scores of the model as it stands on the validation split, in float32."""
    model = evaluated(state)
    return evaluate(
        NetworkPredictor(recipe.model, data.train.classes, model),
        data.val,
        rules=rules_of(model),
        batch_size=EVALUATION_BATCH,
        out=out,
        progress=show_progress,
    )


def rules_of(model: Detector) -> Rules:
    """How the detections of a model are judged: those that it gives, all of them."""
    settings = model.settings
    return Rules(score_floor=settings.score_floor, max_detections=settings.max_detections)


def evaluated(state: TrainState) -> Detector:
    """The model that is scored: the averaged weights where there are some."""
    return cast(Detector, state.model if state.ema is None else state.ema.model)


def start(
    recipe: DetectRecipe, seed: int, data: TrainData, device: torch.device
) -> tuple[TrainState, InitRecord]:
    """A fresh state before the first step, and what its backbone started from."""
    seed_libraries(seed, "weights")
    model = create(recipe.model, len(data.train.classes))
    # The same pictures for every seed: what the weights are before the first step is the arm's.
    order = torch.randperm(len(data.train), generator=stream(0, "statistics")).tolist()
    needed = recipe.init != "random" and recipe.norm == "train"
    pictures = [data.train.load(index)[0] for index in order[:STATISTICS_IMAGES] if needed]
    record = initialise(
        model,
        recipe.init,
        norm=recipe.norm,
        frozen_stages=recipe.frozen_stages,
        images=[as_bytes(picture).float() / 255 for picture in pictures],
        as_ran=recipe.frozen_random,
    )
    model = placed(model, device)
    state = TrainState(
        model=model,
        optimiser=optimiser_of(model, recipe),
        ema=Ema(model, recipe.ema) if recipe.ema else None,
        witness=Witness(model),
        scaler=loss_scaler(recipe.precision, device),
    )
    return state, record


def optimiser_of(model: Detector, recipe: DetectRecipe) -> torch.optim.Optimizer:
    """What the recipe trains with."""
    if recipe.optimiser == "adamw":
        return adamw(model, recipe.lr, recipe.weight_decay)
    return sgd(model, recipe.lr, recipe.momentum, recipe.weight_decay)


def on_device(
    images: Sequence[Tensor], targets: Sequence[Target], device: torch.device
) -> tuple[list[Tensor], list[Target]]:
    """Pictures (3, H, W) uint8 as float32 from 0 to 1, and their targets, where the model is."""
    pictures = [image.to(device, non_blocking=True).float().div_(255) for image in images]
    wanted = [{name: value.to(device) for name, value in each.items()} for each in targets]
    return pictures, wanted


def largest(images: Sequence[Tensor]) -> Tensor:
    """The shape of a batch that holds all of these pictures, without values."""
    height, width = (max(image.shape[axis] for image in images) for axis in (1, 2))
    return torch.empty(len(images), 3, height, width, device="meta", dtype=images[0].dtype)


def pictures_of(data: CachedPictures) -> Iterator[Image]:
    """The pictures (H, W, 3) of a split in order, without their objects."""
    return (data.load(index)[0] for index in range(len(data)))


def _open(recipe: DetectRecipe) -> TrainData:
    entry(recipe.model)
    train_data = _split(recipe.data, recipe.train_split, recipe.train_images, recipe)
    spec = recipe.val_data or recipe.data
    val_data = _split(spec, recipe.val_split, recipe.val_images, recipe)
    if val_data.classes != train_data.classes:
        raise UserError(
            f"{spec} has other classes than {recipe.data}; to evaluate on the data itself: "
            "--set val_data=none"
        )
    return TrainData(train_data, val_data)


def _split(spec: str, split: str, count: int | None, recipe: DetectRecipe) -> CachedPictures:
    found: DetectionData = open_detection(spec, split, strict=recipe.strict)
    if not len(found):
        raise UserError(f"{spec}: the split {split} has no images")
    return CachedPictures(found if count is None else Subset(found, count, recipe.split_seed))
