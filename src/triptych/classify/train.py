"""Training a classifier: one loop, readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych.audit import TESTIMONY
from triptych.classify.augment import Augmentation, Parameters, apply, draw, mix, normalise
from triptych.classify.evaluate import (
    MEAN,
    STD,
    items_table,
    logits_of,
    scores_of,
    write_evaluation,
)
from triptych.classify.media import VERSIONS, write_augmented, write_confusions
from triptych.classify.models import create, set_drop_path
from triptych.classify.recipes import ClassifyRecipe
from triptych.classify.sampler import epoch_order
from triptych.data.image_copies import copies_between
from triptych.data.labelled_images import LabelledImages
from triptych.data.open_images import open_images
from triptych.errors import UserError
from triptych.run import Log, Run, read_result, write_json
from triptych.runtime import runtime_record
from triptych.stopping import StopRequest
from triptych.training.cost import macs
from triptych.training.device import autocast, device_name, training_device
from triptych.training.ema import Ema
from triptych.training.fingerprints import row_hashes
from triptych.training.loss_scale import loss_scaler
from triptych.training.memory import keep_memory
from triptych.training.optimisers import adamw
from triptych.training.pace import Pace
from triptych.training.prefetch import steps_per_epoch
from triptych.training.result import finite, result_of
from triptych.training.schedules import rate, write_rate
from triptych.training.seeding import seed_libraries, stream
from triptych.training.state import TrainState
from triptych.training.witness import Witness

CLASSES = "classes.json"


@dataclass(frozen=True)
class TrainData:
    """The training split on the device, whole: there are no worker processes."""

    images: Tensor
    """(N, 3, H, W) uint8."""
    labels: Tensor
    """(N,) int64."""
    classes: int
    step: nn.Module | None = None
    """The compiled twin of the model, with the same weights, that is called at each update; None
    calls the model itself."""


Conditions = Callable[[int], tuple[ClassifyRecipe, int]]
"""Epoch, from 0 → the recipe and the seed that hold in it."""


def train(
    recipe: ClassifyRecipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
    conditions: Conditions | None = None,
) -> dict[str, Any]:
    """Train a recipe in the run folder `out`, or go on where an earlier start stopped.

    With `conditions` hyperparameters and seed may be others in each epoch. Validation is scored as
    the recipe says, test once, at the end. Returns the run's result. Raises `Stopped`, with a
    checkpoint written, when `stop` asks for it.
    """
    stop = stop or StopRequest()
    conditions = conditions or (lambda epoch: (recipe, seed))
    place = training_device(device, recipe.precision)
    keep_memory()
    splits = open_splits(recipe)
    fingerprint = {name: split.fingerprint() for name, split in splits.items()}
    # Before the folder is made: a model's name or size that will not do leaves nothing behind.
    data = on_device(recipe, splits["train"], place)
    state, data = start(*conditions(0), data)
    with Run.open(out, recipe, seed, fingerprint, runtime_record(device_name(place))) as run:
        if (done := read_result(out)) is not None:
            return done
        write_json(out / CLASSES, {"names": list(splits["train"].classes)})
        val = torch.from_numpy(splits["val"].pixels).to(place)
        run.restore(state)
        total = sum(
            steps_per_epoch(len(data.images), conditions(epoch)[0].batch_size)
            for epoch in range(recipe.epochs)
        )
        with Pace.keeping(
            run,
            state,
            title=f"{recipe.name} seed {seed}",
            total=total,
            stop=stop,
            show_progress=show_progress,
        ) as pace:
            while state.epoch < recipe.epochs and not state.diverged:
                now, own_seed = conditions(state.epoch)
                loss = train_epoch(state, now, own_seed, data, run, pace.after_step)
                state.diverged = not math.isfinite(loss)
                if state.epoch % recipe.evaluate_every == 0 or state.epoch == recipe.epochs:
                    scores, _ = validate(state, splits["val"], val)
                    run.log(state.step, "val", epoch=state.epoch, **scores)
                pace.save()
        result = conclude(run, state, recipe, seed, splits, data, show_progress)
        last, _ = conditions(recipe.epochs - 1)
        plan = augmentation_of(last, data.images.shape[-1])
        write_augmented(out, data.images[:VERSIONS].cpu(), last, plan, seed)
        run.finish(result)
        return result


def train_epoch(
    state: TrainState,
    recipe: ClassifyRecipe,
    seed: int,
    data: TrainData,
    run: Log,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """One epoch, or the rest of one; returns its mean loss and logs it.

    All hyperparameters are taken from `recipe` here, so they may change between epochs.
    `after_step` is called with the state whole, so it may save it, and may raise.
    """
    model, place, witness = state.model, data.images.device, state.witness
    steps = steps_per_epoch(len(data.images), recipe.batch_size)
    total = recipe.epochs * steps
    order = epoch_order(len(data.images), recipe, seed, state.epoch).to(place)
    plan = augmentation_of(recipe, data.images.shape[-1])
    set_drop_path(model, recipe.drop_path)
    model.train()
    while state.step_in_epoch < steps:
        epoch, step = state.epoch, state.step_in_epoch
        write_rate(state.optimiser, rate(recipe, epoch * steps + step, total), recipe.weight_decay)
        chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        sources, labels = data.images[chosen], data.labels[chosen]
        versions, drawn = augmented(sources, plan, stream(seed, "augment", epoch, step))
        if witness is not None:
            witness.batch(row_hashes(sources), versions)
            witness.note(**seen_augmentation(versions, drawn, sources))
            if step == 0:
                # The same draws on copies of one image: how many versions does a batch hold?
                copies = sources[:1].expand_as(sources)
                probed, _ = augmented(copies, plan, stream(seed, "augment", epoch, step))
                witness.probe(probed, normalise(copies, MEAN, STD))
        inputs, targets = mix(
            versions,
            labels,
            data.classes,
            stream(seed, "mix", epoch, step),
            smoothing=recipe.smoothing,
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
        )
        if witness is not None:
            witness.note(target=float(targets.amax(dim=1).mean()))
        if recipe.channels_last:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        seed_libraries(seed, epoch, step)
        with autocast(place, recipe.precision):
            logits = (data.step or model)(inputs)
        loss = soft_cross_entropy(logits.float(), targets)
        state.gradients(loss)
        if witness is not None:
            witness.update(inputs, model, state.optimiser)
        state.update()
        if state.ema is not None:
            state.ema.update(model, state.step)
        state.count_update(len(inputs), loss=loss.item())
        after_step()
    mean = state.end_epoch()["loss"]
    last = rate(recipe, state.epoch * steps - 1, total)
    run.log(state.step, "train", epoch=state.epoch, loss=finite(mean), lr=last)
    return mean


def augmentation_of(recipe: ClassifyRecipe, side: int) -> Augmentation | None:
    """What a recipe does to training images of side x side; None where it leaves them alone."""
    if recipe.augmentation == "none":
        return None
    return Augmentation(
        size=side,
        crop_area=recipe.crop_area,
        trivial=recipe.trivial,
        erasing=recipe.erasing,
        mean=MEAN,
        std=STD,
        shared=recipe.augmentation == "per-batch",
    )


def augmented(
    sources: Tensor, plan: Augmentation | None, generator: torch.Generator
) -> tuple[Tensor, Parameters | None]:
    """uint8 images (N, 3, H, W) as one update sees them, float32, before any mixing, and what was
    drawn for them."""
    if plan is None:
        return normalise(sources, MEAN, STD), None
    count, _, height, width = sources.shape
    drawn = draw(count, height, width, plan, generator)
    return apply(sources, drawn, plan), drawn


def seen_augmentation(
    versions: Tensor, drawn: Parameters | None, sources: Tensor
) -> dict[str, float]:
    """What was done to a batch: `erased`, the share of its pixels; `erasing`, the share of images
    with erased pixels; `crop_area`, the smallest share of an image that was cropped."""
    # Only what is erased is exactly 0 after normalising: no grey level lies there.
    erased = versions == 0
    noted = {
        "erased": float(erased.float().mean()),
        "erasing": float(erased.flatten(1).any(dim=1).float().mean()),
    }
    if drawn is not None:
        areas = drawn.crops[:, 2] * drawn.crops[:, 3]
        noted["crop_area"] = float(areas.min()) / (sources.shape[-2] * sources.shape[-1])
    return noted


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean over images of the cross-entropy with soft targets (N, classes)."""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()


def open_splits(recipe: ClassifyRecipe) -> dict[str, LabelledImages]:
    """Train (perhaps a part of it), val and test of a recipe's data. Raises UserError."""
    splits = {
        name: open_images(
            recipe.data, name, val_images=recipe.val_images, split_seed=recipe.split_seed
        )
        for name in ("train", "val", "test")
    }
    for name, count in (("train", recipe.train_images), ("test", recipe.test_images)):
        if count is None:
            continue
        whole = splits[name]
        if count > len(whole):
            raise UserError(f"{name}_images is {count}, but {recipe.data} has {len(whole)}")
        order = torch.randperm(len(whole), generator=stream(recipe.split_seed, f"{name} images"))
        splits[name] = whole.take(order[:count].numpy())
    return splits


def on_device(
    recipe: ClassifyRecipe, train_images: LabelledImages, place: torch.device
) -> TrainData:
    """The training split on the device. Raises UserError where its images are not square."""
    images = torch.from_numpy(train_images.pixels)
    height, side = images.shape[-2:]
    if height != side:
        raise UserError(
            f"{recipe.data} holds images of {side}x{height}, the models want square ones; "
            f"have them cropped: folder:DIR,size={min(side, height)}"
        )
    return TrainData(
        images=images.to(place),
        labels=torch.from_numpy(train_images.labels).to(place),
        classes=len(train_images.classes),
    )


def start(recipe: ClassifyRecipe, seed: int, data: TrainData) -> tuple[TrainState, TrainData]:
    """A fresh state, before the first step, and the same data with the step that belongs to it."""
    place, side = data.images.device, data.images.shape[-1]
    seed_libraries(seed, "weights")
    model = create(recipe.model, classes=data.classes, image_size=side, drop_path=recipe.drop_path)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model = model.to(place, memory_format=layout)  # type: ignore[call-overload]
    state = TrainState(
        model=model,
        optimiser=adamw(model, recipe.lr, recipe.weight_decay),
        ema=Ema(model, recipe.ema) if recipe.ema else None,
        witness=Witness(model),
        scaler=loss_scaler(recipe.precision, place),
    )
    if recipe.compile:
        data = replace(data, step=torch.compile(model))  # type: ignore[arg-type]
    return state, data


def evaluated(state: TrainState) -> nn.Module:
    """The weights that are scored: the averaged ones where there are some."""
    return state.model if state.ema is None else state.ema.model


def validate(
    state: TrainState, split: LabelledImages, images: Tensor
) -> tuple[dict[str, float], bool]:
    """Scores of the state on a split, whose `images` lie on the device, and whether all of its
    logits are finite."""
    logits = logits_of(evaluated(state), images)
    return headline(scores_of(items_table(logits, split))), bool(logits.isfinite().all())


def conclude(
    run: Run,
    state: TrainState,
    recipe: ClassifyRecipe,
    seed: int,
    splits: dict[str, LabelledImages],
    data: TrainData,
    show_progress: bool,
    step: int | None = None,
) -> dict[str, Any]:
    """Score val and test, write the evaluations and the audit's testimony; returns the result.

    `step` is where the score on test stands in the log, if not at the state's own.
    """
    found = {}
    for name in ("val", "test"):
        split = splits[name]
        images = torch.from_numpy(split.pixels).to(data.images.device)
        logits = logits_of(
            evaluated(state), images, title=f"{split.name} {name}", progress=show_progress
        )
        # The last update alone may have broken the weights, after its loss was finite.
        state.diverged |= not bool(logits.isfinite().all())
        about = {"model": recipe.model, "data": split.name, "split": name}
        folder = run.folder / "evaluations" / f"{split.name}-{name}"
        items = items_table(logits, split)
        pictures = partial(write_confusions, items=items, data=split)
        found[name] = write_evaluation(folder, items, about, pictures)
    scores = headline(found["test"])
    run.log(state.step if step is None else step, "test", epoch=state.epoch, **scores)
    assert state.witness is not None
    known = torch.cat([row_hashes(part) for part in torch.split(data.images, 4096)])
    testimony = state.witness.testimony(state.model, known)
    for name in ("val", "test"):
        count = copies_between(splits["train"], splits[name])
        testimony[f"copies_in_{name}"] = {
            "exact": count.exact,
            "near": count.near,
            "images": len(splits[name]),
        }
    write_json(run.folder / TESTIMONY, testimony)
    cost = macs(state.model, splits["train"].pixels.shape[-1])
    return result_of(
        recipe,
        seed,
        state,
        model=state.model,
        macs=cost,
        data=f"{splits['test'].name} test",
        scores=scores | {f"val_{k}": v for k, v in headline(found["val"]).items()},
    )


def headline(scores: dict[str, Any]) -> dict[str, Any]:
    """The scores that a run's log and result show; the rest is in its evaluation."""
    return {name: scores[name] for name in ("top1", "top5", "loss")}
