"""Training a classifier: one loop, readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych.audit import TESTIMONY
from triptych.classify.augment import Augmentation, augment, mix, normalise
from triptych.classify.evaluate import (
    MEAN,
    STD,
    items_table,
    logits_of,
    scores_of,
    write_evaluation,
)
from triptych.classify.models import create
from triptych.classify.recipes import ClassifyRecipe
from triptych.classify.sampler import epoch_order, steps_per_epoch
from triptych.data.image_copies import copies_between
from triptych.data.labelled_images import LabelledImages
from triptych.data.open_images import open_images
from triptych.errors import UserError
from triptych.run import Run, read_result, write_json
from triptych.runtime import runtime_record
from triptych.stopping import StopRequest
from triptych.training.cost import macs
from triptych.training.device import autocast, device_name, pick_device
from triptych.training.ema import Ema
from triptych.training.fingerprints import row_hashes
from triptych.training.memory import keep_memory
from triptych.training.optimisers import adamw
from triptych.training.pace import Pace
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
    step: nn.Module
    """What is called at each update: the model, or its compiled twin with the same weights."""
    plan: Augmentation | None


def train(
    recipe: ClassifyRecipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Train a recipe in the run folder `out`, or go on where an earlier start stopped.

    Validation is scored as the recipe says, test once, at the end. Returns the run's result.
    Raises `Stopped`, with a checkpoint written, when `stop` asks for it.
    """
    stop = stop or StopRequest()
    place = pick_device(device)
    keep_memory()
    splits = open_splits(recipe)
    fingerprint = {name: split.fingerprint() for name, split in splits.items()}
    # Before the folder is made: a model's name or size that will not do leaves nothing behind.
    state, data = start(recipe, seed, splits["train"], place)
    with Run.open(out, recipe, seed, fingerprint, runtime_record(device_name(place))) as run:
        if (done := read_result(out)) is not None:
            return done
        write_json(out / CLASSES, {"names": list(splits["train"].classes)})
        val = torch.from_numpy(splits["val"].pixels).to(place)
        run.restore(state)
        total = recipe.epochs * steps_per_epoch(len(data.images), recipe.batch_size)
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
                if state.epoch % recipe.evaluate_every == 0 or state.epoch == recipe.epochs:
                    logits = logits_of(evaluated(state), val)
                    scores = headline(scores_of(items_table(logits, splits["val"])))
                    run.log(state.step, "val", epoch=state.epoch, **scores)
                pace.save()
        return finish(run, state, recipe, seed, splits, data, show_progress)


def train_epoch(
    state: TrainState,
    recipe: ClassifyRecipe,
    seed: int,
    data: TrainData,
    run: Run,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """One epoch, or the rest of one; returns its mean loss and logs it.

    `after_step` is called with the state whole, so it may save it, and may raise.
    """
    model, place, witness = state.model, data.images.device, state.witness
    steps = steps_per_epoch(len(data.images), recipe.batch_size)
    total = recipe.epochs * steps
    order = epoch_order(len(data.images), recipe, seed, state.epoch).to(place)
    model.train()
    while state.step_in_epoch < steps:
        epoch, step = state.epoch, state.step_in_epoch
        write_rate(state.optimiser, rate(recipe, state.step, total), recipe.weight_decay)
        chosen = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
        sources, labels = data.images[chosen], data.labels[chosen]
        versions = augmented(sources, data.plan, seed, epoch, step)
        if witness is not None:
            witness.batch(row_hashes(sources), versions)
            # Only what is erased is exactly 0 after normalising: no grey level lies there.
            witness.note(erased=float((versions == 0).float().mean()))
            if step == 0:
                # The same draws on copies of one image: how many versions does a batch hold?
                copies = sources[:1].expand_as(sources)
                witness.probe(
                    augmented(copies, data.plan, seed, epoch, step), normalise(copies, MEAN, STD)
                )
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
            logits = data.step(inputs)
        loss = soft_cross_entropy(logits.float(), targets)
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if witness is not None:
            witness.update(inputs, model, state.optimiser)
        state.optimiser.step()
        if state.ema is not None:
            state.ema.update(model, state.step)
        state.count_update(len(inputs), loss=loss.item())
        after_step()
    mean = state.end_epoch()["loss"]
    last = rate(recipe, state.step - 1, total)
    run.log(state.step, "train", epoch=state.epoch, loss=finite(mean), lr=last)
    return mean


def augmented(
    sources: Tensor, plan: Augmentation | None, seed: int, epoch: int, step: int
) -> Tensor:
    """uint8 images (N, 3, H, W) as one update sees them, float32, before any mixing."""
    if plan is None:
        return normalise(sources, MEAN, STD)
    return augment(sources, plan, stream(seed, "augment", epoch, step))


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


def start(
    recipe: ClassifyRecipe, seed: int, train_images: LabelledImages, place: torch.device
) -> tuple[TrainState, TrainData]:
    """A fresh state and the data on the device, before the first step."""
    images = torch.from_numpy(train_images.pixels)
    height, side = images.shape[-2:]
    if height != side:
        raise UserError(
            f"{recipe.data} holds images of {side}x{height}, the models want square ones; "
            f"have them cropped: folder:DIR,size={min(side, height)}"
        )
    classes = len(train_images.classes)
    seed_libraries(seed, "weights")
    model = create(recipe.model, classes=classes, image_size=side, drop_path=recipe.drop_path)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model = model.to(place, memory_format=layout)  # type: ignore[call-overload]
    state = TrainState(
        model=model,
        optimiser=adamw(model, recipe.lr, recipe.weight_decay),
        ema=Ema(model, recipe.ema) if recipe.ema else None,
        witness=Witness(model),
    )
    plan = Augmentation(
        size=side,
        crop_area=recipe.crop_area,
        trivial=recipe.trivial,
        erasing=recipe.erasing,
        mean=MEAN,
        std=STD,
        shared=recipe.augmentation == "per-batch",
    )
    data = TrainData(
        images=images.to(place),
        labels=torch.from_numpy(train_images.labels).to(place),
        classes=classes,
        step=torch.compile(model) if recipe.compile else model,  # type: ignore[arg-type]
        plan=None if recipe.augmentation == "none" else plan,
    )
    return state, data


def evaluated(state: TrainState) -> nn.Module:
    """The weights that are scored: the averaged ones where there are some."""
    return state.model if state.ema is None else state.ema.model


def finish(
    run: Run,
    state: TrainState,
    recipe: ClassifyRecipe,
    seed: int,
    splits: dict[str, LabelledImages],
    data: TrainData,
    show_progress: bool,
) -> dict[str, Any]:
    """Score val and test, write the evaluations, the audit's testimony and the result."""
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
        found[name] = write_evaluation(folder, items_table(logits, split), about)
    scores = headline(found["test"])
    run.log(state.step, "test", epoch=state.epoch, **scores)
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
    result = result_of(
        recipe,
        seed,
        state,
        model=state.model,
        macs=cost,
        data=f"{splits['test'].name} test",
        scores=scores | {f"val_{k}": v for k, v in headline(found["val"]).items()},
    )
    run.finish(result)
    return result


def headline(scores: dict[str, Any]) -> dict[str, Any]:
    """The scores that a run's log and result show; the rest is in its evaluation."""
    return {name: scores[name] for name in ("top1", "top5", "loss")}
