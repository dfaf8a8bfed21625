"""Evaluating a predictor, and another program's results, on small data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from triptych.data.boxes import Objects, no_objects
from triptych.detect.coco_results import ResultsFile
from triptych.detect.detections import Detections
from triptych.detect.evaluate import describe, evaluate
from triptych.detect.items import Rules, read_items
from triptych.detect.mistakes import missed_objects, wrong_detections
from triptych.detect.scores import scores_from_items
from triptych.errors import UserError


class Data:
    """Three pictures of 100 x 100: a cat and a dog, a cat, nothing."""

    name, split, classes = "tiny", "val", ("cat", "dog")
    keys, groups = ("000007", "more/000008", "000009"), None
    truth = (
        Objects(np.array([[10, 10, 50, 50], [60, 60, 90, 90]], np.float32), np.array([0, 1])),
        Objects(np.array([[0, 0, 99, 99]], np.float32), np.array([0])),
        no_objects(),
    )

    def __len__(self) -> int:
        return 3

    def load(self, index: int) -> tuple[np.ndarray, Objects]:
        return np.full((100, 100, 3), index, np.uint8), self.truth[index]

    def objects(self, index: int) -> Objects:
        return self.truth[index]

    def fingerprint(self) -> str:
        return "f"


class Perfect:
    """Finds everything, and a class that the data does not have."""

    name, classes = "perfect", ("bird", "dog", "cat")

    def predict(self, images: Sequence[np.ndarray], keys: Sequence[str]) -> list[Detections]:
        found = []
        for image in images:
            truth = Data.truth[image[0, 0, 0]]
            boxes = np.concatenate([truth.boxes, [[0, 0, 9, 9], [np.nan, 0, 9, 9]]])
            labels = np.concatenate([2 - truth.labels, [0, 1]])
            found.append(Detections(boxes.astype(np.float32), np.ones(len(labels)), labels))
        return found


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_a_perfect_predictor(tmp_path: Path, batch_size: int) -> None:
    out = tmp_path / "e"
    scores = evaluate(Perfect(), Data(), batch_size=batch_size, out=out, progress=False)
    assert scores["AP50"] == scores["AP50_11point"] == scores["AP"] == 1
    assert scores["classes_left_out"] == ["bird"]
    assert scores["detections_not_finite"] == 3
    assert scores["images_without_objects"] == 1
    assert json.loads((out / "scores.json").read_text()) == scores
    again = scores_from_items(out / "items.parquet")
    assert {name: scores[name] for name in again} == again
    text = describe(scores)
    assert "AP50 1.0000" in text
    assert "not scored, not in the data: bird" in text


def test_a_class_that_the_predictor_lacks() -> None:
    class Cats(Perfect):
        classes = ("bird", "dogs", "cat")

    with pytest.raises(UserError, match="has no class 'dog'; is 'dogs' what it is called"):
        evaluate(Cats(), Data(), progress=False)


def test_rules_that_make_no_sense() -> None:
    with pytest.raises(UserError, match="IoU"):
        Rules(iou=0)
    with pytest.raises(UserError, match="at least 1"):
        Rules(max_detections=0)


def entry(image: Any, category: Any, box: Any, score: Any = 0.9) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


GOOD = [
    entry("000007", "cat", [10, 10, 40, 40]),
    entry("000007.jpg", "dog", [60, 60, 30, 30]),
    entry("JPEGImages/000008.jpg", "cat", [0, 0, 99, 99]),
]
NUMBERS = {
    "images": [{"id": 5, "file_name": "000007.png"}, {"id": 6, "file_name": "more/000008.png"}],
    "categories": [{"id": 3, "name": "dog"}, {"id": 4, "name": "cat"}],
    "annotations": [
        entry(5, 4, [10, 10, 40, 40]),
        entry(5, 3, [60, 60, 30, 30]),
        entry(6, 4, [0, 0, 99, 99]),
    ],
}


@pytest.mark.parametrize(
    "content", [GOOD, NUMBERS, [entry(7, "cat", [10, 10, 40, 40]), *GOOD[1:]]],
    ids=["names", "its own numbers", "a number for a key"],
)  # fmt: skip
def test_another_program_s_results(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    scores = evaluate(ResultsFile(path, Data()), Data(), progress=False)
    assert scores["AP"] == 1
    assert scores["model"] == str(path)


def test_the_data_s_own_numbers(tmp_path: Path) -> None:
    class Numbered(Data):
        image_ids = MappingProxyType({101: "000007", 102: "more/000008", 103: "000009"})
        category_ids = MappingProxyType({18: "dog", 17: "cat"})

    path = tmp_path / "found.json"
    found = [entry(101, 17, [10, 10, 40, 40]), entry(102, 17, [0, 0, 99, 99])]
    path.write_text(json.dumps(found))
    scores = evaluate(ResultsFile(path, Numbered()), Numbered(), progress=False)
    assert scores["by_class"]["cat"]["AP50"] == 1
    assert scores["by_class"]["dog"]["AP50"] == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ({"boxes": []}, "a list of detections"),
        ([3], "entry 0: must be an object"),
        ([entry("000007", "cat", [1, 2, 3])], "four numbers"),
        ([entry("000007", "cat", [1, 2, 3, "4"])], "four numbers"),
        ([entry("000007", "cat", [9, 9, -3, 4])], "negative width"),
        ([entry("000007", "cat", [1, 2, 3, 4], None)], "score must be a number"),
        ([entry("000007", "cat", [1, 2, 3, 4], float("nan"))], "score must be a number"),
        ([entry("000010", "cat", [1, 2, 3, 4])], "'000010' is no picture of tiny val"),
        ([entry(8, "cat", [1, 2, 3, 4])], "8 is no picture"),
        ([entry("000007", "cats", [1, 2, 3, 4])], "did you mean 'cat'"),
        ([entry("000007", 1, [1, 2, 3, 4])], "nothing says which class"),
        ({**NUMBERS, "annotations": [entry(9, 4, [1, 2, 3, 4])]}, "9 is no picture"),
        ({**NUMBERS, "annotations": [entry(5, 9, [1, 2, 3, 4])]}, "9 is no class"),
        ({**NUMBERS, "categories": [{"id": "x", "name": "cat"}]}, "number `id`"),
        ({**NUMBERS, "categories": NUMBERS["categories"] * 2}, "twice"),
    ],
)
def test_results_that_cannot_be_used(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "found.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UserError, match=message) as told:
        evaluate(ResultsFile(path, Data()), Data(), progress=False)
    assert str(path) in str(told.value)


def test_a_number_for_one_of_several_keys(tmp_path: Path) -> None:
    """Keys that are the same number: the one without zeros, else it must be told which."""

    class Alike(Data):
        keys = ("007", "7", "008")

    class NoneExact(Data):
        keys = ("007", "0007", "008")

    path = tmp_path / "found.json"
    path.write_text(json.dumps([entry(7, "cat", [0, 0, 99, 99]), entry(8, "dog", [1, 1, 9, 9])]))
    found = ResultsFile(path, Alike()).predict([], Alike.keys)
    assert [len(each) for each in found] == [0, 1, 1]
    with pytest.raises(
        UserError, match="entry 0: image_id 7 may be '007' or '0007'; write"
    ) as told:
        ResultsFile(path, NoneExact())
    assert "\n" not in str(told.value)
    path.write_text(json.dumps([entry("007", "cat", [0, 0, 99, 99])]))
    found = ResultsFile(path, NoneExact()).predict([], NoneExact.keys)
    assert [len(each) for each in found] == [1, 0, 0]


def test_categories_without_a_class_of_the_data(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps({**NUMBERS, "categories": NUMBERS["categories"][:1],
                                "annotations": []}))  # fmt: skip
    with pytest.raises(UserError, match="has no class 'cat'"):
        evaluate(ResultsFile(path, Data()), Data(), progress=False)


def test_the_worst_mistakes(tmp_path: Path) -> None:
    content = [
        entry("000007", "cat", [10, 10, 40, 40], 0.4),
        entry("000007", "cat", [11, 10, 40, 40], 0.3),
        entry("000007", "cat", [60, 60, 30, 30], 0.8),
        entry("000007", "dog", [70, 70, 30, 30], 0.7),
        entry("000009", "dog", [70, 70, 30, 30], 0.95),
    ]
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    evaluate(ResultsFile(path, Data()), Data(), out=tmp_path / "e", progress=False)
    items = read_items(tmp_path / "e" / "items.parquet")
    wrong = wrong_detections(items)
    assert [(w.key, w.name, w.score, w.kind, w.other) for w in wrong] == [
        ("000009", "dog", 0.95, "background", None),
        ("000007", "cat", 0.8, "other class", "dog"),
        ("000007", "dog", 0.7, "localisation", None),
        ("000007", "cat", 0.3, "duplicate", None),
    ]
    assert wrong[2].iou == pytest.approx(400 / 1400)
    assert [w.score for w in wrong_detections(items, most=2)] == [0.95, 0.8]
    missed = missed_objects(items, score=0.5)
    assert [(m.key, m.name, m.score) for m in missed] == [
        ("more/000008", "cat", None),
        ("000007", "dog", None),
        ("000007", "cat", 0.4),
    ]
    assert len(missed_objects(items, score=0.1)) == 2
