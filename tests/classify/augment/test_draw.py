"""Drawn parameters have the distributions that torchvision draws from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomErasing, RandomResizedCrop, TrivialAugmentWide, autoaugment

from triptych.classify.augment import (
    BINS,
    MAGNITUDES,
    OPERATIONS,
    SIGNED,
    Augmentation,
    Parameters,
    draw,
)

LEAST_P = 1e-3
"""Seeds are fixed, so a test passes always or never; what is wrong by a tenth falls far below."""


def drawn(count: int, height: int, width: int, plan: Augmentation, seed: int = 0) -> Parameters:
    return draw(count, height, width, plan, torch.Generator().manual_seed(seed))


def same_frequencies(ours: Iterable[Hashable], theirs: Iterable[Hashable]) -> float:
    """p of a chi-square test over the outcomes of two samples; rare outcomes are put together."""
    first, second = Counter(ours), Counter(theirs)
    common = [key for key in first | second if first[key] + second[key] >= 20]
    table = [[counts[key] for key in common] for counts in (first, second)]
    rest = [counts.total() - sum(row) for counts, row in zip((first, second), table, strict=True)]
    if sum(rest):
        table = [[*row, other] for row, other in zip(table, rest, strict=True)]
    return float(stats.chi2_contingency(table).pvalue)


def as_rows(boxes: Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in boxes.tolist()]


@pytest.mark.parametrize(
    ("height", "width", "least"),
    [
        (32, 32, 0.35),
        (33, 47, 0.1),
        (64, 64, 0.9),
        (96, 30, 0.6),  # too narrow: most tries fail, many fall back to the central box
        (20, 90, 0.95),  # no try fits
        (3, 4, 0.01),  # sides may round to 0
    ],
)
def test_crops(height: int, width: int, least: float) -> None:
    plan = Augmentation(32, least)
    ours = drawn(6000, height, width, plan).crops
    torch.manual_seed(1)
    picture, ratio = torch.zeros(3, height, width), [3 / 4, 4 / 3]
    theirs = torch.tensor(
        [RandomResizedCrop.get_params(picture, [least, 1.0], ratio) for _ in range(3000)]
    )
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > LEAST_P
    area = [boxes[:, 2] * boxes[:, 3] for boxes in (ours, theirs)]
    assert stats.ks_2samp(*area).pvalue > LEAST_P
    assert same_frequencies(as_rows(ours), as_rows(theirs)) > LEAST_P
    assert (ours[:, 0] + ours[:, 2]).max() <= height
    assert (ours[:, 1] + ours[:, 3]).max() <= width
    assert ours[:, :2].min() >= 0
    assert ours[:, 2:].min() >= 1


@pytest.mark.parametrize("size", [2, 5, 32, 64])
def test_erased(size: int) -> None:
    ours = drawn(6000, 32, 32, Augmentation(size, 1.0, erasing=1.0)).erased
    torch.manual_seed(1)
    picture = torch.zeros(3, size, size)
    theirs = torch.tensor(
        [
            RandomErasing.get_params(picture, (1 / 50, 1 / 3), (3 / 10, 10 / 3), [0.0])[:4]
            for _ in range(3000)
        ]
    )
    # Where nothing fits torchvision returns the whole picture to be put in its own place.
    theirs[(theirs[:, 2] == size) & (theirs[:, 3] == size)] = 0
    for column in range(4):
        assert stats.ks_2samp(ours[:, column], theirs[:, column]).pvalue > LEAST_P
    assert same_frequencies(as_rows(ours), as_rows(theirs)) > LEAST_P


def test_operations_with_magnitudes_and_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs: list[tuple[str, float]] = []
    monkeypatch.setattr(
        autoaugment,
        "_apply_op",
        lambda image, name, magnitude, **_: theirs.append((name, magnitude)),
    )
    torch.manual_seed(1)
    transform = TrivialAugmentWide()
    for _ in range(20_000):
        transform(torch.zeros(3, 4, 4))
    found = drawn(40_000, 32, 32, Augmentation(32, 1.0))
    magnitudes = MAGNITUDES[found.operations, found.bins]
    magnitudes = torch.where(found.negative & SIGNED[found.operations], -magnitudes, magnitudes)
    names = [OPERATIONS[index] for index in found.operations.tolist()]
    # 0 and -0 are one outcome.
    ours = [(name, value + 0.0) for name, value in zip(names, magnitudes.tolist(), strict=True)]
    theirs = [(name, value + 0.0) for name, value in theirs]
    assert set(ours) == set(theirs)
    assert same_frequencies(ours, theirs) > LEAST_P
    assert same_frequencies(names, (name for name, _ in theirs)) > LEAST_P


def test_parts_are_independent() -> None:
    found = drawn(60_000, 32, 32, Augmentation(32, 0.35, erasing=0.5))
    erased = (found.erased[:, 2] > 0).long()
    parts = {
        "operation": found.operations,
        "bin": found.bins,
        "sign": found.negative.long(),
        "flip": found.flips.long(),
        "erased": erased,
        "top": (found.crops[:, 0] > 2).long(),
        "tall": (found.crops[:, 2] > 26).long(),
    }
    names = list(parts)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            pair = parts[first] * 100 + parts[second]
            counts = torch.bincount(pair, minlength=100 * (int(parts[first].max()) + 1))
            table = counts.view(-1, 100)[:, : int(parts[second].max()) + 1].numpy()
            if {first, second} != {"top", "tall"}:
                assert stats.chi2_contingency(table).pvalue > LEAST_P, (first, second)


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.5, 1.0])
def test_probabilities(probability: float) -> None:
    plan = Augmentation(32, 0.5, flip=probability, erasing=probability)
    found = drawn(20_000, 32, 32, plan)
    for happened in (found.flips, found.erased[:, 2] > 0):
        count = int(happened.sum())
        assert stats.binomtest(count, 20_000, probability).pvalue > LEAST_P


def test_levels_and_signs_are_uniform() -> None:
    found = drawn(20_000, 32, 32, Augmentation(32, 0.5))
    assert stats.binomtest(int(found.negative.sum()), 20_000, 0.5).pvalue > LEAST_P
    assert stats.chisquare(found.bins.bincount(minlength=BINS)).pvalue > LEAST_P
    counts = found.operations.bincount(minlength=len(OPERATIONS))
    assert stats.chisquare(counts).pvalue > LEAST_P


def test_without_trivial_nothing_but_identity() -> None:
    assert not drawn(500, 32, 32, Augmentation(32, 0.5, trivial=False)).operations.any()


def test_shared_draws_one_set() -> None:
    found = drawn(50, 33, 47, Augmentation(32, 0.35, erasing=1.0, shared=True))
    one = drawn(1, 33, 47, Augmentation(32, 0.35, erasing=1.0))
    for name, values in vars(found).items():
        assert len(values) == 50
        assert (values == getattr(one, name)).all()
