"""The shape of classification data: fingerprints, selections, the order by content."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from triptych.data.labelled_images import LabelledImages, by_content, unique


@pytest.fixture
def images() -> LabelledImages:
    rng = np.random.default_rng(5)
    return LabelledImages(
        "made",
        "train",
        rng.integers(0, 256, (6, 3, 4, 5), np.uint8),
        np.array([0, 1, 2, 0, 1, 2]),
        ("a", "b", "c"),
        tuple("uvwxyz"),
    )


def test_length_and_size(images: LabelledImages) -> None:
    assert len(images) == 6
    assert images.size == (4, 5)


def test_take_gives_these_pictures_in_this_order(images: LabelledImages) -> None:
    taken = images.take([4, 1, 1])
    assert np.array_equal(taken.pixels, images.pixels[[4, 1, 1]])
    assert taken.labels.tolist() == [1, 1, 1]
    assert taken.keys == ("y", "v", "v")
    assert taken.split == "train"
    assert images.take([0], "val").split == "val"
    assert len(images.take([])) == 0


def test_taken_pixels_are_a_copy(images: LabelledImages) -> None:
    before = images.pixels.copy()
    images.take([0]).pixels[:] = 0
    assert np.array_equal(images.pixels, before)


def test_the_fingerprint_knows_content_and_nothing_else(images: LabelledImages) -> None:
    same = replace(images, keys=tuple("abcdef"), name="other", split="val")
    assert same.fingerprint() == images.fingerprint()
    other_pixels = images.pixels.copy()
    other_pixels[3, 1, 2, 2] ^= 1
    changed = [
        replace(images, pixels=other_pixels),
        replace(images, pixels=images.pixels.reshape(6, 3, 5, 4)),
        replace(images, labels=np.array([0, 1, 2, 0, 1, 1])),
        replace(images, classes=("a", "b", "d")),
        images.take([1, 0, 2, 3, 4, 5]),
    ]
    prints = {each.fingerprint() for each in [images, *changed]}
    assert len(prints) == 1 + len(changed)


def test_arrays_that_do_not_fit_together_are_refused(images: LabelledImages) -> None:
    with pytest.raises(ValueError, match="6 keys"):
        replace(images, labels=np.zeros(5, np.int64))
    with pytest.raises(ValueError, match="contiguous"):
        replace(images, pixels=images.pixels.transpose(0, 1, 3, 2))


def test_the_order_by_content_does_not_depend_on_the_order_before(images: LabelledImages) -> None:
    ordered = by_content(images)
    again = by_content(images.take([5, 3, 1, 0, 4, 2]))
    assert again.keys == ordered.keys
    assert again.fingerprint() == ordered.fingerprint()
    assert sorted(ordered.keys) == sorted(images.keys)


def test_names_are_made_unique() -> None:
    assert unique(["a", "b", "a", "a"]) == ("a", "b", "a#2", "a#3")
