"""Class weights against numbers worked by hand, and what they do to rare and absent classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from triptych.data.classes import VOID, ClassSet
from triptych.data.labelled import Image, LabelMap
from triptych.errors import UserError
from triptych.segment.weighting import class_weights, pixel_counts


class Maps:
    """Label maps as data, of three classes."""

    name, split = "maps", "train"
    classes = ClassSet("three", ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))

    def __init__(self, *maps: list[list[int]]) -> None:
        self._maps = [np.array(each, np.uint8) for each in maps]
        self.keys = self.groups = tuple(map(str, range(len(maps))))

    def __len__(self) -> int:
        return len(self._maps)

    def load(self, index: int) -> tuple[Image, LabelMap]:
        label = self._maps[index]
        return np.zeros((*label.shape, 3), np.uint8), label

    def fingerprint(self) -> str:
        return ""


def test_pixels_are_counted_over_the_split_without_void() -> None:
    counts = pixel_counts(Maps([[0, 0, 2], [VOID, 0, 2]], [[1, VOID]], [[VOID]]))
    assert counts.tolist() == [3, 1, 2]


@pytest.mark.parametrize("counts", [[1, 1, 1, 1], [97, 2, 1], [1_000_000, 10, 1], [5, 0, 5]])
@pytest.mark.parametrize("weighting", ["log", "median"])
def test_the_average_pixel_weighs_1(weighting: str, counts: list[int]) -> None:
    pixels = np.array(counts, np.int64)
    weights = class_weights(weighting, pixels)  # type: ignore[arg-type]
    assert weights.dtype == torch.float32
    assert weights.shape == (len(counts),)
    average = (weights.double().numpy() * pixels).sum() / pixels.sum()
    assert average == pytest.approx(1, rel=1e-6)


def test_log_is_enets_formula() -> None:
    # Shares 0.9, 0.09 and 0.01: 1 / ln(1.92) = 1.533, 1 / ln(1.11) = 9.582, 1 / ln(1.03) = 33.83.
    weights = class_weights("log", np.array([900, 90, 10]))
    average = 0.9 * 1.5330 + 0.09 * 9.5823 + 0.01 * 33.8308
    expected = [1.5330 / average, 9.5823 / average, 33.8308 / average]
    assert weights.tolist() == pytest.approx(expected, rel=1e-4)
    # No class can outweigh another by more than 1 / log(1.02) to 1 / log(2.02), about 35 times.
    extreme = class_weights("log", np.array([10**9, 1])).tolist()
    assert extreme[1] / extreme[0] == pytest.approx(math.log(2.02) / math.log(1.02), rel=1e-4)


def test_median_frequency_makes_every_class_count_alike() -> None:
    # Median share 0.09: weights 0.1, 1 and 9, of which the average pixel has 0.27.
    weights = class_weights("median", np.array([900, 90, 10]))
    assert weights.tolist() == pytest.approx([0.1 / 0.27, 1 / 0.27, 9 / 0.27], rel=1e-6)
    assert (weights * torch.tensor([900, 90, 10])).tolist() == pytest.approx([1000 / 3] * 3)


def test_equal_classes_weigh_1() -> None:
    for weighting in ("log", "median"):
        assert class_weights(weighting, np.array([7, 7, 7])).tolist() == [1, 1, 1]  # type: ignore[arg-type]


@pytest.mark.parametrize("weighting", ["log", "median"])
def test_a_class_without_pixels_weighs_as_the_rarest(weighting: str) -> None:
    weights = class_weights(weighting, np.array([900, 0, 90, 10, 0]))  # type: ignore[arg-type]
    assert weights[1] == weights[3] == weights[4]
    assert weights.isfinite().all()
    assert class_weights(weighting, np.array([900, 90, 10])).tolist() == pytest.approx(  # type: ignore[arg-type]
        weights[[0, 2, 3]].tolist()
    )


@pytest.mark.parametrize("weighting", ["log", "median"])
def test_a_split_that_is_all_void_has_no_weights(weighting: str) -> None:
    with pytest.raises(UserError, match="--set class_weights=none"):
        class_weights(weighting, np.zeros(3, np.int64))  # type: ignore[arg-type]
