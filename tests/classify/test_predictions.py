"""Another program's class scores as a CSV file: what is taken, and what is refused by line."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from triptych.classify.evaluate import items_table, scores_of
from triptych.classify.predictions import predict_items, read_scores
from triptych.data.labelled_images import LabelledImages
from triptych.errors import UserError
from triptych.study import Predictions

CLASSES = ("ant", "bee", "cat, striped", "dog")
KEYS = ("0.png", "1.png", "2.png")
LOGITS = np.array([[2.0, 1.0, 0.5, -3.0], [0.0, 4.0, 1.0, 1.0], [-1.0, 0.0, 2.5, 3.0]])

IMAGES = LabelledImages(
    "made up",
    "test",
    np.zeros((3, 3, 4, 4), np.uint8),
    np.array([0, 1, 2]),
    CLASSES,
    KEYS,
)
Rows = list[list[object]]
Write = Callable[[Rows], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(rows: Rows) -> Path:
        file = tmp_path / "scores.csv"
        with file.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(rows)
        return file

    return to_file


def rows_of(scores: np.ndarray, classes: Sequence[str] = CLASSES) -> Rows:
    return [
        ["key", *classes],
        *[[key, *map(float, row)] for key, row in zip(KEYS, scores, strict=True)],
    ]


def test_logits_in_the_datas_own_order(write: Write) -> None:
    assert np.array_equal(read_scores(write(rows_of(LOGITS)), IMAGES), LOGITS.astype(np.float32))


def test_classes_and_images_in_any_order(write: Write) -> None:
    order = [2, 0, 3, 1]
    head, *body = rows_of(LOGITS[:, order], [CLASSES[i] for i in order])
    found = read_scores(write([head, *reversed(body)]), IMAGES)
    assert np.array_equal(found, LOGITS.astype(np.float32))


def test_a_byte_order_mark_is_no_part_of_the_key(write: Write) -> None:
    file = write(rows_of(LOGITS))
    file.write_text("\ufeff" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert np.array_equal(read_scores(file, IMAGES), LOGITS.astype(np.float32))


def test_images_that_are_not_asked_for_are_passed_over(write: Write) -> None:
    rows = [*rows_of(LOGITS), ["other.png", 1.0, 2.0, 3.0, 4.0]]
    assert read_scores(write(rows), IMAGES).shape == (3, 4)


def test_probabilities_give_the_same_scores_as_their_logits(write: Write) -> None:
    chances = torch.from_numpy(LOGITS).softmax(dim=1).numpy()
    found = items_table(torch.from_numpy(read_scores(write(rows_of(chances)), IMAGES)), IMAGES)
    expected = items_table(torch.from_numpy(LOGITS.astype(np.float32)), IMAGES)
    for column in ("predicted", "top1", "top5"):
        assert found[column].equals(expected[column])
    assert found["loss"].to_pylist() == pytest.approx(expected["loss"].to_pylist(), rel=1e-5)


def test_a_sure_model_keeps_its_ranks_below_the_first(write: Write) -> None:
    names = tuple(f"c{i}" for i in range(8))
    images = LabelledImages(
        "made up", "test", np.zeros((1, 3, 4, 4), np.uint8), np.array([4]), names, ("0.png",)
    )
    chances = [1.0, *[10.0 ** -(20 + i) for i in range(6)], 0.0]  # the label is fifth of eight
    rows: Rows = [["key", *names], ["0.png", *reversed(chances)]]
    rows[0][1:] = list(reversed(names))
    table = items_table(torch.from_numpy(read_scores(write(rows), images)), images)
    assert (table["top1"].to_pylist(), table["top5"].to_pylist()) == ([0.0], [1.0])
    assert table["loss"].to_pylist() == pytest.approx([-math.log(1e-23)])


def of_classes(count: int, images: int = 4) -> tuple[LabelledImages, np.ndarray]:
    """Made-up data of so many classes, and probabilities of some model on it."""
    draw = np.random.default_rng(count)
    names, keys = (tuple(f"{n:03d}" for n in range(some)) for some in (count, images))
    labels = draw.integers(0, count, images)
    pixels = np.zeros((images, 3, 4, 4), np.uint8)
    chances = torch.from_numpy(draw.normal(0, 1, (images, count))).softmax(dim=1).numpy()
    return LabelledImages("made up", "test", pixels, labels, names, keys), chances


def written(images: LabelledImages, scores: np.ndarray, form: str) -> Rows:
    rows = [
        [key, *[format(x, form) for x in row]] for key, row in zip(images.keys, scores, strict=True)
    ]
    return [["key", *images.classes], *rows]


@pytest.mark.parametrize(
    ("classes", "form", "apart"),
    [
        (10, ".3f", 0.01),
        (100, ".4f", 0.01),
        (100, ".3g", 0.01),
        (4, ".2f", 0.05),
        (10, ".9g", 1e-6),
    ],
)
def test_rounded_probabilities_keep_their_loss(
    write: Write, classes: int, form: str, apart: float
) -> None:
    images, chances = of_classes(classes)
    file = write(written(images, chances, form))
    found = items_table(torch.from_numpy(read_scores(file, images)), images)["loss"].to_pylist()
    expected = -np.log(chances[np.arange(len(chances)), images.labels])
    assert found == pytest.approx(expected.tolist(), rel=apart)
    assert np.exp(read_scores(file, images)).sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_probabilities_that_a_processor_leaves_outside_0_to_1(write: Write) -> None:
    chances = np.array([[1.0000001, 0, 0, -1e-9], [0.1, 0.2, 0.3, 0.4], [0, 1, 0, 0]])
    found = np.exp(read_scores(write(rows_of(chances)), IMAGES))
    assert found == pytest.approx(np.clip(chances, 0, 1), abs=1e-6)


def test_logits_from_0_to_1_of_which_every_row_is_far_above_1(write: Write) -> None:
    cosines = np.array([[0.31, 0.62, 0.4, 0.9], [0.5, 0.5, 0.6, 0.3], [0.9, 0.8, 0.7, 0.6]])
    assert np.array_equal(read_scores(write(rows_of(cosines)), IMAGES), cosines.astype(np.float32))


@pytest.mark.parametrize(
    ("row", "total"),
    [
        ([0.25, 0.25, 0.25, 0.2625], "1.0125"),
        ([0.1234, 0.2, 0.3, 0.2], "0.8234"),
        ([0.0, 0.0, 0.0, 0.0], "0"),
        ([1, 1, 0, 0], "2"),
        ([0.9, 0.8, 0.7, 0.6], "3"),
    ],
)
def test_what_is_neither_probabilities_nor_logits_is_refused(
    write: Write, row: list[float], total: str
) -> None:
    rows = rows_of(np.array([[0.1, 0.2, 0.3, 0.4]] * 3))
    rows[2][1:] = row
    file = write(rows)
    with pytest.raises(UserError) as caught:
        read_scores(file, IMAGES)
    said = str(caught.value)
    assert said.startswith(f"{file}: the scores of 1.png sum to {total}, so they are neither")
    assert "\n" not in said


def test_what_rounding_took_whole_is_refused(write: Write) -> None:
    images, chances = of_classes(300)
    with pytest.raises(UserError, match=r"the scores of 000 sum to .* \(1, give or take 0\.5\)"):
        read_scores(write(written(images, chances, ".1f")), images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.clear(), "its first line must be `key`"),
        (lambda rows: rows[0].__setitem__(0, "image"), "its first line must be `key`"),
        (lambda rows: rows[0].__setitem__(2, "wasp"), "lacks the class bee; made up has 4 classes"),
        (lambda rows: [row.pop() for row in rows], "lacks the class dog"),
        (lambda rows: [row.append(1) for row in rows], "has columns that are no class"),
        (lambda rows: rows[2].__setitem__(1, "high"), "line 3: must be a key and 4 numbers"),
        (lambda rows: rows[2].pop(), "line 3: must be a key and 4 numbers"),
        (lambda rows: rows[3].append(0.5), "line 4: must be a key and 4 numbers"),
        (lambda rows: rows.append([]), "line 5: must be a key and 4 numbers"),
        (lambda rows: rows[1].__setitem__(3, "nan"), "line 2: a score is not finite"),
        (lambda rows: rows[3].__setitem__(4, "-inf"), "line 4: a score is not finite"),
        (lambda rows: rows.append(rows[1]), "has an image twice"),
        (lambda rows: rows.pop(2), r"has no scores for 1\.png \(1 images in all\)"),
        (lambda rows: rows.__delitem__(slice(1, None)), r"no scores for 0\.png \(3 images in all"),
    ],
)
def test_what_cannot_be_read_is_named(
    write: Write, change: Callable[[Rows], object], message: str
) -> None:
    rows = rows_of(LOGITS)
    change(rows)
    file = write(rows)
    with pytest.raises(UserError, match=message) as caught:
        read_scores(file, IMAGES)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read .*none\.csv: No such file"):
        read_scores(tmp_path / "none.csv", IMAGES)
    with pytest.raises(UserError, match="Is a directory"):
        read_scores(tmp_path, IMAGES)
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(UserError, match=r"picture\.csv is not a CSV file in UTF-8"):
        read_scores(tmp_path / "picture.csv", IMAGES)


def test_an_arm_from_outside(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def open_images(data: str, split: str) -> LabelledImages:
        opened.append((data, split))
        return IMAGES

    monkeypatch.setattr("triptych.classify.predictions.open_images", open_images)
    arm = Predictions(str(write(rows_of(LOGITS))))
    with pytest.raises(UserError, match="--metric val_top1: predictions have top1, top5, loss"):
        predict_items(arm, "made up", "val", "val_top1", tmp_path / "evaluation")
    assert not (tmp_path / "evaluation").exists()
    items = predict_items(arm, "made up", "val", "top1", tmp_path / "evaluation")
    assert opened == [("made up", "val")]
    assert (items.keys, items.groups) == (KEYS, None)
    assert items.values.tolist() == [1, 1, 0]
    expected = scores_of(items_table(torch.from_numpy(LOGITS.astype(np.float32)), IMAGES))
    loss = predict_items(arm, "made up", "val", "loss", tmp_path / "evaluation")
    assert loss.score() == pytest.approx(expected["loss"])
