"""Which images an epoch shows: numbers, repeats, and whether the choice moves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from triptych import recipe as recipes
from triptych.classify.recipes import ClassifyRecipe
from triptych.classify.sampler import epoch_order
from triptych.training.prefetch import steps_per_epoch

TINY = recipes.get("classify/tiny")


def order(images: int, *, seed: int = 0, epoch: int = 0, **changes: Any) -> list[int]:
    assert isinstance(TINY, ClassifyRecipe)
    found: list[int] = epoch_order(images, replace(TINY, **changes), seed, epoch).tolist()
    return found


@pytest.mark.parametrize("sampler", ["moving", "fixed"])
@pytest.mark.parametrize("repeats", [1, 2, 3, 7])
@pytest.mark.parametrize("images", [1, 2, 30, 31, 32, 100])
def test_an_epoch_keeps_its_samples_and_shows_fewer_images(
    images: int, repeats: int, sampler: str
) -> None:
    found = order(images, repeats=repeats, sampler=sampler, epoch=2)
    assert len(found) == images
    assert set(found) <= set(range(images))
    assert len(set(found)) == -(-images // repeats)
    counts = [found.count(image) for image in set(found)]
    assert max(counts) <= repeats
    assert sum(count < repeats for count in counts) <= 1  # only the last is cut


def test_versions_of_an_image_stand_side_by_side() -> None:
    found = order(30, repeats=3)
    assert all(len(set(found[i : i + 3])) == 1 for i in range(0, 30, 3))


def test_without_repeats_it_is_every_image_in_a_random_order() -> None:
    found = order(50)
    assert sorted(found) == list(range(50))
    assert found != list(range(50))


def test_the_moving_sampler_differs_by_epoch_and_sees_everything() -> None:
    epochs = [order(60, repeats=3, epoch=epoch) for epoch in range(30)]
    assert len({tuple(each) for each in epochs}) == 30
    seen = {image for each in epochs for image in each}
    assert len(seen) == 60  # each is missed with probability (2/3)^30, once in 190,000


def test_the_fixed_sampler_shows_the_first_epoch_for_ever() -> None:
    epochs = [order(60, repeats=3, sampler="fixed", epoch=epoch) for epoch in range(5)]
    assert all(each == epochs[0] for each in epochs)
    assert epochs[0] == order(60, repeats=3, sampler="moving", epoch=0)


@pytest.mark.parametrize("sampler", ["moving", "fixed"])
def test_seeds_differ_and_equal_seeds_do_not(sampler: str) -> None:
    found = [order(60, repeats=3, sampler=sampler, seed=seed) for seed in (0, 1, 0)]
    assert found[0] == found[2] != found[1]


def test_models_do_not_change_the_order() -> None:
    assert order(60, model="vit-tiny", lr=1.0, augmentation="per-batch") == order(60)


def test_the_global_generator_is_not_touched() -> None:
    torch.manual_seed(5)
    first = torch.rand(3)
    torch.manual_seed(5)
    order(60)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.parametrize(
    ("images", "batch", "steps"), [(100, 10, 10), (109, 10, 10), (9, 10, 1), (10, 10, 1)]
)
def test_a_smaller_last_batch_is_left_out_unless_it_is_the_only_one(
    images: int, batch: int, steps: int
) -> None:
    assert steps_per_epoch(images, batch) == steps
