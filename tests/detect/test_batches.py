"""Batches are the same on any number of threads, after any restart, and hold what is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.data.open_detection import open_detection
from triptych.detect.batches import (
    Batch,
    CachedPictures,
    epoch_batches,
    hashes,
    plain_batches,
    probe,
)
from triptych.detect.models import entry
from triptych.detect.recipes import DetectRecipe
from triptych.detect.subset import Subset
from triptych.errors import UserError

SETTINGS = entry("frcnn-tiny").settings


@pytest.fixture(scope="module")
def data(boxed: Callable[..., Path]) -> CachedPictures:
    return CachedPictures(open_detection(f"vocxml:{boxed(train=11)}", "train"))


@pytest.fixture
def recipe() -> DetectRecipe:
    return DetectRecipe(
        name="detect/test", model="frcnn-tiny", data="x", epochs=1, batch_size=3, lr=0.1,
        scale=(0.6, 1.5), jitter=0.3,
    )  # fmt: skip


def content(batch: Batch) -> list[bytes]:
    parts = [*batch.images, *(v for target in batch.targets for v in target.values())]
    return [part.numpy().tobytes() for part in (*parts, batch.sources, batch.versions)]


def test_neither_threads_nor_a_restart_change_a_batch(
    data: CachedPictures, recipe: DetectRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [content(batch) for batch in epoch_batches(data, recipe, SETTINGS, 5, 1)]
    assert len(whole) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    rest = [content(batch) for batch in epoch_batches(data, recipe, SETTINGS, 5, 1, start=1)]
    assert rest == whole[1:]


def test_every_epoch_and_seed_has_its_own_order_of_all_pictures(
    data: CachedPictures, recipe: DetectRecipe
) -> None:
    one = replace(recipe, batch_size=1)
    orders = {
        (seed, epoch): tuple(
            int(batch.sources) for batch in epoch_batches(data, one, SETTINGS, seed, epoch)
        )
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(orders.values())) == 4
    known = set(hashes(data.load(index)[0] for index in range(11)).tolist())
    assert all(set(order) == known and len(order) == 11 for order in orders.values())


def test_targets_count_classes_from_one_and_leave_out_the_difficult(
    data: CachedPictures, recipe: DetectRecipe
) -> None:
    plain = list(plain_batches(data, SETTINGS, recipe, 4))
    assert [len(images) for images, _ in plain] == [4, 4, 3]
    targets = [target for _, each in plain for target in each]
    assert [target["labels"].tolist() for target in targets[:4]] == [[1, 2], [1, 2], [1], []]
    # Twice the size of the pictures: 96x64 become 192x128.
    assert plain[0][0][0].shape == (3, 128, 192)
    expected = data.objects(0).boxes * 2
    assert np.array_equal(targets[0]["boxes"].numpy(), expected)


def test_the_probe_tells_shared_draws_from_own_ones(
    data: CachedPictures, recipe: DetectRecipe
) -> None:
    versions, plain = probe(data, recipe, SETTINGS, 0, 0)
    assert len(torch.unique(versions)) == 3
    assert len(torch.unique(plain)) == 1
    still, _ = probe(data, recipe.without_augmentation(), SETTINGS, 0, 0)
    assert torch.equal(still, plain)


def test_pictures_are_decoded_once(boxed: Callable[..., Path]) -> None:
    root = boxed(train=2)
    cached = CachedPictures(open_detection(f"vocxml:{root}", "train"))
    first = cached.load(0)
    (root / "train" / "00.png").unlink()
    assert cached.load(0) is first


class TestSubset:
    def test_a_larger_one_holds_the_smaller_and_keeps_the_order(self, data: CachedPictures) -> None:
        few, more = Subset(data, 4, 0), Subset(data, 8, 0)
        assert set(few.keys) < set(more.keys)
        assert [data.keys.index(key) for key in few.keys] == sorted(map(data.keys.index, few.keys))
        index = data.keys.index(few.keys[2])
        assert np.array_equal(few.load(2)[0], data.load(index)[0])
        assert few.objects(2) is data.objects(index)

    def test_which_pictures_it_holds_decides_its_fingerprint(self, data: CachedPictures) -> None:
        prints = {
            Subset(data, count, seed).fingerprint() for count, seed in ((4, 0), (5, 0), (4, 1))
        }
        assert len(prints | {data.fingerprint()}) == 4
        assert Subset(data, 4, 0).fingerprint() == Subset(data, 4, 0).fingerprint()

    def test_too_many_are_refused(self, data: CachedPictures) -> None:
        with pytest.raises(UserError, match="vocxml train has 11 images, not 12"):
            Subset(data, 12, 0)
