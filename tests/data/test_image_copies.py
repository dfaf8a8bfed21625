"""Copies between splits: found through what re-use does to pictures, and only those."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from triptych.data.image_copies import EXAMPLES, copies_between
from triptych.data.labelled_images import LabelledImages
from triptych.data.open_images import open_images

Pictures = NDArray[np.uint8]


def textured(count: int, seed: int, size: int = 32) -> Pictures:
    """Smooth random colours (N, size, size, 3), of which no two are alike."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        noise = sum(
            cv2.resize(
                rng.normal(0, 40, (cells, cells, 3)), (size, size), interpolation=cv2.INTER_CUBIC
            )
            for cells in (3, 6, 9)
        )
        pictures.append(np.clip(128 + noise, 0, 255).astype(np.uint8))
    return np.stack(pictures)


def images(pictures: Pictures, prefix: str) -> LabelledImages:
    pixels = np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))
    keys = tuple(f"{prefix}{index}" for index in range(len(pixels)))
    return LabelledImages("made", prefix, pixels, np.zeros(len(pixels), np.int64), ("a",), keys)


def jpeg(picture: Pictures) -> Pictures:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=60)
    return np.asarray(Image.open(file))


def moved(picture: Pictures, down: int, right: int) -> Pictures:
    """A picture moved by up to two pixels; what was at the border is repeated."""
    wide = np.pad(picture, ((2, 2), (2, 2), (0, 0)), mode="edge")
    return wide[2 - down : 34 - down, 2 - right : 34 - right]


def written_on(picture: Pictures) -> Pictures:
    changed = picture.copy()
    changed[25:28, 4:14] = 255
    return changed


TRAIN = textured(60, 1)
CHANGES: dict[str, Callable[[Pictures], Pictures]] = {
    "jpeg": jpeg,
    "brighter": lambda p: np.clip(p.astype(int) + 30, 0, 255).astype(np.uint8),
    "less contrast": lambda p: (p * 0.5 + 60).astype(np.uint8),
    "grey": lambda p: np.repeat(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY)[..., None], 3, 2),
    "mirrored": lambda p: p[:, ::-1],
    "moved": lambda p: moved(p, 1, 1),
    "mirrored and moved": lambda p: moved(p[:, ::-1], -1, 1),
    "written on": written_on,
    "blurred": lambda p: cv2.GaussianBlur(p, (3, 3), 0.6),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_near(change: str) -> None:
    changed = np.stack([CHANGES[change](picture) for picture in TRAIN[:20]])
    count = copies_between(images(TRAIN, "train"), images(changed, "test"))
    assert count.exact == 0
    assert count.near >= 19
    assert all(a.removeprefix("train") == b.removeprefix("test") for a, b in count.examples)


def test_the_same_pixels_are_exact_and_come_first() -> None:
    second = np.concatenate([textured(5, 2), TRAIN[3:5], np.stack([jpeg(TRAIN[9])])])
    count = copies_between(images(TRAIN, "train"), images(second, "test"))
    assert (count.exact, count.near) == (2, 1)
    assert count.examples == (("train3", "test5"), ("train4", "test6"), ("train9", "test7"))


def test_strangers_are_none() -> None:
    count = copies_between(images(TRAIN, "train"), images(textured(200, 3), "test"))
    assert (count.exact, count.near, count.examples) == (0, 0, ())


def test_a_frame_in_common_is_no_copy() -> None:
    """White borders are the strongest edge of many product photographs."""
    first, second = textured(40, 4), textured(40, 5)
    for pictures in (first, second):
        pictures[:, :3] = pictures[:, -3:] = pictures[:, :, :3] = pictures[:, :, -3:] = 255
    assert copies_between(images(first, "a"), images(second, "b")).near == 0


def test_pictures_without_detail_are_no_copies_of_each_other() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((6, 32, 32, 3), 100, np.uint8) + rng.integers(0, 2, (6, 32, 32, 1), np.uint8)
    assert copies_between(images(flat, "a"), images(flat[::-1] + 3, "b")).near == 0


def test_sizes_may_differ() -> None:
    large = textured(20, 6, size=96)
    small = np.stack([cv2.resize(p, (48, 48), interpolation=cv2.INTER_AREA) for p in large])
    count = copies_between(images(large, "a"), images(small, "b"))
    assert (count.exact, count.near) == (0, 20)


def test_examples_are_few_and_nothing_is_nothing() -> None:
    both = images(textured(EXAMPLES + 5, 7), "a")
    count = copies_between(both, both)
    assert count.exact == EXAMPLES + 5
    assert len(count.examples) == EXAMPLES
    assert copies_between(both, both.take([])).exact == 0
    assert copies_between(both.take([]), both).near == 0


def test_real_pictures(shared: Path) -> None:
    """1,000 test pictures of CIFAR-100 against themselves, moved, and against as many others."""
    some = open_images(f"cifar100:{shared / 'data' / 'cifar100'}", "test").take(range(2000))
    first, others = some.take(range(1000)), some.take(range(1000, 2000))
    shifted = np.stack([moved(p, 1, -1) for p in first.pixels[:300].transpose(0, 2, 3, 1)])
    assert copies_between(first, images(shifted, "moved")).near >= 290
    assert copies_between(first, others).near <= 20
