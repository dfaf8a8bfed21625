"""Splits drawn by seed: whole, disjoint, fair to classes, and the same for ever."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.data.held_out import default_count, hold_out


@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    part=st.floats(0, 1),
    seed=st.integers(0, 3),
)
def test_every_picture_is_in_one_of_the_two_and_classes_keep_their_shares(
    labels: list[int], part: float, seed: int
) -> None:
    numbers, count = np.array(labels), round(part * len(labels))
    stay, kept = hold_out(numbers, count, seed, "val")
    assert len(kept) == count
    assert sorted([*stay, *kept]) == list(range(len(labels)))
    share = count / len(labels)
    for label in set(labels):
        size = int((numbers == label).sum())
        assert abs(int((numbers[kept] == label).sum()) - share * size) < 2


def test_equal_classes_are_kept_back_equally() -> None:
    labels = np.repeat(np.arange(10), 50)
    _, kept = hold_out(labels, 50, 0, "val")
    assert np.bincount(labels[kept]).tolist() == [5] * 10


def test_more_adds_without_exchanging() -> None:
    labels = np.arange(90) % 7
    _, few = hold_out(labels, 10, 3, "val")
    _, many = hold_out(labels, 25, 3, "val")
    assert set(few) < set(many)


def test_seed_and_split_decide() -> None:
    labels = np.arange(200) % 4
    drawn = {
        tuple(hold_out(labels, 20, seed, split)[1].tolist())
        for seed in (0, 1)
        for split in ("val", "test")
    }
    assert len(drawn) == 4


def test_the_draw_never_changes() -> None:
    """Frozen: another draw would make every earlier result incomparable."""
    stay, kept = hold_out(np.arange(12) % 3, 3, 0, "val")
    assert kept.tolist() == [1, 6, 8]
    assert stay.tolist() == [0, 2, 3, 4, 5, 7, 9, 10, 11]


@pytest.mark.parametrize(("sizes", "count"), [([500] * 100, 5000), ([6, 5], 2), ([4, 100], 10)])
def test_a_tenth_by_default_and_at_least_one_of_each(sizes: list[int], count: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert default_count(labels) == count
    _, kept = hold_out(labels, count, 0, "val")
    assert set(labels[kept]) == set(range(len(sizes)))
