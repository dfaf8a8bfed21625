"""The scores against numbers worked by hand and against a slow transcription of the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.classes import VOID
from triptych.segment.metrics import (
    boundary,
    boundary_f,
    confusion_matrix,
    iou,
    mean,
    pixel_accuracy,
)


def labels(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_confusion_by_hand() -> None:
    truth = labels([[0, 0, 1], [1, VOID, 2]])
    predicted = labels([[0, 1, 1], [VOID, 0, 2]])
    counts = confusion_matrix(truth, predicted, 4)
    assert counts.dtype == np.int64
    assert counts.tolist() == [
        [1, 1, 0, 0, 0],
        [0, 1, 0, 0, 1],  # one pixel of class 1 was called void: missed, nobody's false positive
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert iou(counts) == [1 / 2, 1 / 3, 1.0, None]
    assert mean(iou(counts)) == pytest.approx((1 / 2 + 1 / 3 + 1) / 3)
    assert pixel_accuracy(counts) == 3 / 5


def test_class_only_predicted_scores_zero_not_null() -> None:
    counts = confusion_matrix(labels([[0, 0]]), labels([[0, 1]]), 3)
    assert iou(counts) == [1 / 2, 0.0, None]


def test_nothing_but_void() -> None:
    counts = confusion_matrix(labels([[VOID]]), labels([[0]]), 2)
    assert counts.sum() == 0
    assert (pixel_accuracy(counts), mean(iou(counts))) == (None, None)
    assert boundary_f(labels([[VOID]]), labels([[0]]), 2) == [None, None]


def test_confusion_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="truth is"):
        confusion_matrix(labels([[0]]), labels([[0, 0]]), 1)
    for truth, predicted in ((2, 0), (0, 2)):
        with pytest.raises(ValueError, match="below 2"):
            confusion_matrix(labels([[truth]]), labels([[predicted]]), 2)


def test_boundary_by_hand() -> None:
    found = boundary(
        labels(
            [
                [0, 0, 0, 1],
                [0, 0, 0, 1],
                [0, VOID, VOID, 1],  # no boundary towards void
                [0, 0, VOID, 1],
                [0, 0, 2, 1],
            ]
        )
    )
    # A diagonal neighbour, as row 3 column 1 has in class 2, is none.
    assert found.astype(int).tolist() == [
        [0, 0, 1, 1],
        [0, 0, 1, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 1, 1],
    ]


def halves(column: int) -> np.ndarray:
    """240 x 320, diagonal 400: matched within exactly 3 pixels. Class 1 starts at `column`."""
    picture = np.zeros((240, 320), np.uint8)
    picture[:, column:] = 1
    return picture


@pytest.mark.parametrize(("shift", "score"), [(0, 1.0), (3, 1.0), (4, 0.0)])
def test_tolerance_is_inclusive(shift: int, score: float) -> None:
    assert boundary_f(halves(100), halves(100 + shift), 2) == [score, score]


def test_tolerance_is_euclidean() -> None:
    truth, near, far = (np.zeros((240, 320), np.uint8) for _ in range(3))
    truth[100, 100] = 1
    near[102, 102] = 1  # 2.83 away
    far[102, 103] = 1  # 3.61 away, though 3 by the larger coordinate
    assert boundary_f(truth, near, 2)[1] == 1.0
    assert boundary_f(truth, far, 2)[1] == 0.0


def test_precision_and_recall_by_hand() -> None:
    truth = np.zeros((240, 320), np.uint8)
    truth[50, 50] = truth[150, 150] = truth[200, 50] = 1
    predicted = np.zeros_like(truth)
    predicted[50, 51] = predicted[20, 20] = 1
    # Precision 1/2, recall 1/3.
    assert boundary_f(truth, predicted, 2)[1] == pytest.approx(2 * (1 / 6) / (5 / 6))


def test_edge_cases() -> None:
    everything = np.zeros((9, 9), np.uint8)
    split = np.repeat(labels([[0, 0, 0, 0, 1, 1, 1, 1, 1]]), 9, axis=0)
    assert boundary_f(everything, everything, 2) == [1.0, None]  # fills the picture, and found
    assert boundary_f(everything, split, 2) == [0.0, None]  # one has a boundary, the other not
    assert boundary_f(split, everything, 2) == [0.0, 0.0]
    assert boundary_f(split, np.full_like(split, VOID), 2) == [0.0, 0.0]  # in truth, not predicted
    enclosed = np.full_like(split, VOID)
    enclosed[4, 4] = 1
    assert boundary_f(enclosed, split, 2) == [None, 1.0]  # no boundary in either, but found
    assert boundary_f(enclosed, everything, 2) == [None, 0.0]


def test_what_is_predicted_in_void_does_not_count() -> None:
    truth = halves(100)
    truth[:, 90:110] = VOID
    clean, noisy = halves(100), halves(100)
    noisy[:, 92:108] = np.arange(16, dtype=np.uint8) % 2
    assert boundary_f(truth, clean, 2) == boundary_f(truth, noisy, 2) == [1.0, 1.0]


def slow_boundary_f(truth: np.ndarray, predicted: np.ndarray, label: int) -> float | None:
    """The rule word by word, with loops."""
    height, width = truth.shape
    if not (truth == label).any():
        return None

    def outline(picture: np.ndarray) -> list[tuple[int, int]]:
        found = []
        for y in range(height):
            for x in range(width):
                if picture[y, x] != label:
                    continue
                around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                inside = [(r, c) for r, c in around if 0 <= r < height and 0 <= c < width]
                if any(picture[p] not in (label, VOID) for p in inside):
                    found.append((y, x))
        return found

    predicted = predicted.copy()
    predicted[truth == VOID] = VOID
    theirs, ours = outline(truth), outline(predicted)
    if not theirs and not ours:
        return float((predicted == label).any())
    if not theirs or not ours:
        return 0.0
    reach = 0.0075 * math.hypot(height, width)

    def share(points: list[tuple[int, int]], targets: list[tuple[int, int]]) -> float:
        near = [any(math.dist(p, t) <= reach + 1e-9 for t in targets) for p in points]
        return sum(near) / len(near)

    precision, recall = share(ours, theirs), share(theirs, ours)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Blocky maps with void, tall or wide enough that the tolerance is 1 to 4 pixels."""
    height, width = draw(st.sampled_from([(3, 200), (300, 2), (1, 500), (100, 100)]))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    block = 10
    small = rng.choice([0, 1, 2, VOID], (height // block + 1, width // block + 1))
    truth = np.kron(small, np.ones((block, block)))[:height, :width].astype(np.uint8)
    predicted = np.roll(truth, tuple(rng.integers(-5, 6, 2)), (0, 1))
    patch = rng.random(truth.shape) < draw(st.sampled_from([0.0, 0.02]))
    predicted[patch] = rng.choice([0, 1, 2, VOID], int(patch.sum()))
    return truth, predicted


@settings(max_examples=25, deadline=None)
@given(pairs())
def test_boundary_f_against_the_transcription(maps: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = maps
    expected = [slow_boundary_f(truth, predicted, label) for label in range(3)]
    found = boundary_f(truth, predicted, 3)
    assert [value is None for value in found] == [value is None for value in expected]
    for ours, theirs in zip(found, expected, strict=True):
        if ours is not None:
            assert ours == pytest.approx(theirs, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(pairs())
def test_properties(maps: tuple[np.ndarray, np.ndarray]) -> None:
    truth, predicted = maps
    assert set(boundary_f(truth, truth, 3)) <= {None, 1.0}
    counts = confusion_matrix(truth, predicted, 3)
    assert counts.sum() == (truth != VOID).sum()
    # Parts of a picture add up, so scores of a data set do not depend on how it is cut.
    top, bottom = (confusion_matrix(truth[s], predicted[s], 3) for s in (slice(1), slice(1, None)))
    assert (top + bottom == counts).all()
    mirrored = boundary_f(truth[:, ::-1], predicted[:, ::-1], 3)
    assert mirrored == pytest.approx(boundary_f(truth, predicted, 3))
