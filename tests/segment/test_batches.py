"""Batches: every frame once an epoch, drawn apart, the same on any threads and after a restart."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from triptych.data.classes import CITYSCAPES, VOID
from triptych.data.labelled import Image, LabelMap
from triptych.errors import UserError
from triptych.segment.augment import augment, draws_of
from triptych.segment.batches import (
    Batch,
    CachedFrames,
    epoch_batches,
    frame_hash,
    probe,
    steps_per_epoch,
)
from triptych.segment.recipes import SegmentRecipe
from triptych.training.seeding import stream

RECIPE = SegmentRecipe(
    name="segment/test", model="tiny", data="made", epochs=1, batch_size=3, lr=0.1,
    crop=(32, 40), scale=(0.7, 1.4), rare_crops=0.3, jitter=0.3, gamma=0.3, white_balance=0.1,
    saturation=0.3, noise=5.0, blur=1.0,
)  # fmt: skip
PLAIN = RECIPE.without_augmentation()


class Made:
    """Frames of one size whose first pixel and label say which they are."""

    name, split, classes = "made", "train", CITYSCAPES

    def __init__(self, count: int, size: tuple[int, int] = (32, 40)) -> None:
        self.keys = tuple(f"f{index}" for index in range(count))
        self.groups = tuple("drive" for _ in range(count))
        self.size = size
        self.loads: list[int] = []
        self.threads: set[str] = set()

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        self.loads.append(index)
        self.threads.add(threading.current_thread().name)
        image = np.random.default_rng(index).integers(0, 256, (*self.size, 3)).astype(np.uint8)
        label = np.full(self.size, index % 19, np.uint8)
        image[0, 0], label[0, 0] = index, VOID
        return image, label

    def fingerprint(self) -> str:
        return f"made {len(self)}"


def frames_of(batch: Batch) -> list[int]:
    """Which frames of `Made` a batch that was not augmented holds."""
    return [int(index) for index in batch.images[:, 0, 0, 0]]


def tensors(batches: list[Batch]) -> list[torch.Tensor]:
    return [part for b in batches for part in (b.images, b.labels, b.sources)]


def equal(one: list[Batch], other: list[Batch]) -> bool:
    pairs = zip(tensors(one), tensors(other), strict=True)
    return len(one) == len(other) and all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("frames", "size", "steps"), [(9, 3, 3), (11, 3, 3), (3, 3, 1), (2, 3, 1), (1, 1, 1)]
)
def test_every_frame_comes_once_an_epoch(frames: int, size: int, steps: int) -> None:
    assert steps_per_epoch(frames, size) == steps
    recipe = replace(PLAIN, batch_size=size)
    batches = list(epoch_batches(Made(frames), recipe, 0, 0))
    assert len(batches) == steps
    seen = [index for batch in batches for index in frames_of(batch)]
    assert len(set(seen)) == len(seen) == min(frames, steps * size)


def test_what_an_epoch_leaves_out_comes_in_others() -> None:
    seen = [
        sorted(i for batch in epoch_batches(Made(5), PLAIN, 0, epoch) for i in frames_of(batch))
        for epoch in range(20)
    ]
    assert all(len(indices) == 3 for indices in seen)
    assert {index for indices in seen for index in indices} == set(range(5))


def test_the_order_is_new_in_every_epoch_and_of_every_seed() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        found = epoch_batches(Made(12), PLAIN, seed, epoch)
        return [index for batch in found for index in frames_of(batch)]

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_shapes_and_types() -> None:
    (batch, *_) = epoch_batches(Made(6), RECIPE, 0, 0)
    assert batch.images.shape == (3, 3, 32, 40)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.labels.shape == (3, 32, 40)
    assert batch.labels.dtype == batch.sources.dtype == torch.int64
    assert batch.sources.shape == (3,)


def test_a_batch_is_its_frames_with_draws_of_their_own() -> None:
    made = Made(9)
    order = torch.randperm(9, generator=stream(4, "order", 2)).tolist()
    for step, batch in enumerate(epoch_batches(made, RECIPE, 4, 2)):
        for row, (index, draws) in enumerate(
            zip(order[3 * step : 3 * step + 3], draws_of(3, 4, 2, step), strict=True)
        ):
            image, label = made.load(index)
            expected = augment(image, label, RECIPE, draws)
            assert (batch.images[row].permute(1, 2, 0).numpy() == expected[0]).all()
            assert (batch.labels[row].numpy() == expected[1]).all()
            assert batch.sources[row] == frame_hash(image)[0]


def test_copies_of_a_frame_in_a_batch_differ() -> None:
    class Same(Made):
        def load(self, index: int) -> tuple[Image, LabelMap]:
            return super().load(0)

    recipe = replace(RECIPE, batch_size=16)
    (batch,) = epoch_batches(Same(16), recipe, 0, 0)
    assert len(torch.unique(batch.sources)) == 1
    assert len(torch.unique(batch.images.flatten(1), dim=0)) == 16


@pytest.mark.parametrize("cores", [1, 2, 5])
def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    expected = list(epoch_batches(Made(24), RECIPE, 0, 0))
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    made = Made(24)
    assert equal(list(epoch_batches(made, RECIPE, 0, 0)), expected)
    assert all(name.startswith("batches") for name in made.threads)
    assert len(made.threads) <= cores


@pytest.mark.parametrize("start", range(5))
def test_a_restart_goes_on_with_the_same_batches(start: int) -> None:
    expected = list(epoch_batches(Made(12), RECIPE, 1, 3))
    assert equal(list(epoch_batches(Made(12), RECIPE, 1, 3, start=start)), expected[start:])


def test_who_stops_early_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    batches = epoch_batches(Made(300), PLAIN, 0, 0)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_only_a_few_batches_are_made_ahead() -> None:
    made = Made(300)
    batches = epoch_batches(made, PLAIN, 0, 0)
    next(batches)
    assert len(made.loads) <= 3 * (2 + min(os.cpu_count() or 1, 8))
    batches.close()  # type: ignore[attr-defined]


def test_a_frame_that_cannot_be_read_ends_the_epoch_with_its_own_error() -> None:
    class Broken(Made):
        def load(self, index: int) -> tuple[Image, LabelMap]:
            if index == 7:
                raise UserError("f7.png: id 12 is not a class of this data set")
            return super().load(index)

    with pytest.raises(UserError, match=r"f7\.png: id 12"):
        list(epoch_batches(Broken(9), RECIPE, 0, 0))


class Mixed(Made):
    def load(self, index: int) -> tuple[Image, LabelMap]:
        image, label = super().load(index)
        return (image, label) if index % 2 else (image[:-3], label[:-3])


def test_frames_of_different_sizes_are_cropped_or_come_alone() -> None:
    assert len(list(epoch_batches(Mixed(6), RECIPE, 0, 0))) == 2
    alone = replace(PLAIN, crop=None, batch_size=1)
    sizes = {batch.images.shape[2] for batch in epoch_batches(Mixed(6), alone, 0, 0)}
    assert sizes == {32, 29}


def test_a_batch_says_what_it_cost() -> None:
    class Slow(Made):
        """Takes 20 ms of processor time, or of waiting."""

        busy = True

        def load(self, index: int) -> tuple[Image, LabelMap]:
            began = time.thread_time()
            while self.busy and time.thread_time() - began < 0.02:
                pass
            if not self.busy:
                time.sleep(0.05)
            return super().load(index)

    slow = Slow(6)
    assert all(0.06 <= batch.seconds < 0.5 for batch in epoch_batches(slow, PLAIN, 0, 0))
    slow.busy = False
    assert all(0 < batch.seconds < 0.1 for batch in epoch_batches(slow, PLAIN, 0, 0))


class TestProbe:
    def probe(self, recipe: SegmentRecipe) -> tuple[int, bool]:
        versions, plain = probe(Made(6), recipe, 0, 0)
        assert versions.shape == plain.shape == (3, 3, 32, 40)
        assert len(torch.unique(plain.flatten(1), dim=0)) == 1
        return len(torch.unique(versions.flatten(1), dim=0)), bool((versions != plain).any())

    def test_versions_are_counted(self) -> None:
        assert self.probe(RECIPE) == (3, True)
        assert self.probe(PLAIN) == (1, False)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("scale", (0.5, 2.0)), ("jitter", 0.4), ("gamma", 0.5), ("white_balance", 0.3),
            ("saturation", 0.9), ("noise", 9.0), ("blur", 3.0),
        ],
    )  # fmt: skip
    def test_every_way_to_augment_is_seen(self, field: str, value: Any) -> None:
        assert self.probe(replace(PLAIN, **{field: value}))[1]

    def test_it_is_augmented_with_the_draws_of_the_epochs_first_batch(self) -> None:
        made = Made(6)
        expected = [augment(*made.load(0), RECIPE, draws)[0] for draws in draws_of(3, 5, 2, 0)]
        versions = probe(made, RECIPE, 5, 2)[0].permute(0, 2, 3, 1)
        assert (versions.numpy() == np.stack(expected)).all()


class TestCachedFrames:
    def test_it_is_the_data(self) -> None:
        data = Made(4)
        cached = CachedFrames(data)
        assert (cached.name, cached.split, cached.classes) == ("made", "train", CITYSCAPES)
        assert list(cached.keys) == list(data.keys)
        assert list(cached.groups) == list(data.groups)
        assert len(cached) == 4
        assert cached.fingerprint() == data.fingerprint()
        for index in (3, 0, 3):
            for ours, theirs in zip(cached.load(index), data.load(index), strict=True):
                assert (ours == theirs).all()

    def test_frames_are_read_once(self) -> None:
        made = Made(4)
        cached = CachedFrames(made)
        for _ in range(3):
            for index in range(4):
                cached.load(index)
        assert made.loads == [0, 1, 2, 3]

    def test_what_does_not_fit_is_read_anew(self) -> None:
        made = Made(4)
        one = sum(part.nbytes for part in made.load(0))
        made.loads.clear()
        cached = CachedFrames(made, limit=2 * one)
        for _ in range(2):
            for index in range(4):
                assert cached.load(index)[0][0, 0, 0] == index
        assert made.loads == [0, 1, 2, 3, 2, 3]
