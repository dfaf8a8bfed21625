"""Boxes in COCO's form: what is read, what is wrong with it, and the numbers of results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from triptych.data.check import check
from triptych.data.open_detection import open_detection
from triptych.detect.coco_results import ResultsFile
from triptych.detect.evaluate import describe, evaluate
from triptych.errors import UserError

Content = dict[str, Any]


def picture(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (10, 15, 3), np.uint8)
    return Image.fromarray(noise).resize((60, 40))


def content() -> Content:
    return {
        "images": [
            {"id": 30, "file_name": "b.jpg", "width": 60, "height": 40},
            {"id": 10, "file_name": "a.png"},
            {"id": 20, "file_name": "empty.jpg", "width": 60, "height": 40},
        ],
        "annotations": [
            {"id": 1, "image_id": 30, "category_id": 7, "bbox": [1.5, 2, 10, 20], "iscrowd": 0},
            {"id": 2, "image_id": 30, "category_id": 3, "bbox": [0, 0, 60, 40], "iscrowd": 1},
            {"id": 3, "image_id": 10, "category_id": 3, "bbox": [5, 5, 5, 5]},
        ],
        "categories": [{"id": 7, "name": "zebra"}, {"id": 3, "name": "yak"}],
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    for seed, name in enumerate(("a.png", "b.jpg", "empty.jpg")):
        picture(seed).save(tmp_path / "pictures" / name)
    (tmp_path / "all.json").write_text(json.dumps(content()))
    return tmp_path


def test_what_is_read(place: Path) -> None:
    data = open_detection(f"coco:{place}/all.json,{place}/pictures", "all")
    assert (data.name, data.classes) == ("coco", ("yak", "zebra"))  # by id
    assert list(data.keys) == ["b", "a", "empty"]
    image, objects = data.load(0)
    assert image.shape == (40, 60, 3)
    assert objects.boxes.tolist() == [[1.5, 2, 11.5, 22], [0, 0, 60, 40]]
    assert objects.labels.tolist() == [1, 0]
    assert objects.crowd.tolist() == [False, True]
    assert not objects.difficult.any()
    assert len(data.objects(2)) == 0
    assert data.image_ids == {30: "b", 10: "a", 20: "empty"}  # type: ignore[attr-defined]
    assert data.category_ids == {7: "zebra", 3: "yak"}  # type: ignore[attr-defined]


def test_splits_are_files(place: Path) -> None:
    for split in ("train", "val"):
        (place / f"{split}.json").write_text(json.dumps(content()))
    spec = f"coco:{place}/{{split}}.json,{place}/pictures"
    assert open_detection(spec, "val").split == "val"
    with pytest.raises(UserError, match="no split 'test' here; there are: train, val"):
        open_detection(spec, "test")
    with pytest.raises(UserError, match=r"there are: all; put \{split\}"):
        open_detection(f"coco:{place}/all.json,{place}/pictures", "train")
    report = check(spec, progress=False)
    assert any("share 3 pictures" in finding.text for finding in report.findings)
    other = content()
    other["categories"][0]["name"] = "horse"
    (place / "val.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="other classes than"):
        open_detection(spec, "train")


def change(what: Callable[[Content], object]) -> Callable[[Content], None]:
    def apply(found: Content) -> None:
        what(found)

    return apply


FAULTS = {
    "image twice": (lambda c: c["images"].append(c["images"][0]), "id 30 is there twice", 3, 3),
    "file twice": (
        lambda c: c["images"].append({"id": 4, "file_name": "b.jpg"}), "b.jpg is there twice", 3, 3,
    ),
    "image without id": (
        lambda c: c["images"].append({"file_name": "c.jpg"}), "image 3: has no id", 3, 3,
    ),
    "image that is not there": (
        lambda c: c["images"].append({"id": 4, "file_name": "c.jpg"}), "c.jpg: no such", 3, 3,
    ),
    "path that leads out": (
        lambda c: c["images"].append({"id": 4, "file_name": "../all.json"}), "no path in", 3, 3,
    ),
    "other size": (lambda c: c["images"][0].update(width=80), "80x40, but", 2, 1),
    "annotation twice": (
        lambda c: c["annotations"].append(c["annotations"][0]), "annotation 1: its id is", 3, 3,
    ),
    "annotation without id": (
        lambda c: c["annotations"].append({"image_id": 10}), "annotation 3: has no id", 3, 3,
    ),
    "no such image": (
        lambda c: c["annotations"][0].update(image_id=99), "image_id 99 is no image", 3, 2,
    ),
    "a list for an image": (
        lambda c: c["annotations"][0].update(image_id=[30]), r"image_id \[30\] is no image", 3, 2,
    ),
    "an object for an image": (
        lambda c: c["annotations"][0].update(image_id={}), "image_id {} is no image", 3, 2,
    ),
    "an image whose id is a list": (
        lambda c: c["images"].append({"id": [1], "file_name": "c.jpg"}), "image 3: has no id", 3, 3,
    ),
    "an annotation whose id is a list": (
        lambda c: c["annotations"][2].update(id=[1]), "annotation 2: has no id", 3, 2,
    ),
    "a class that is a list": (
        lambda c: c["annotations"][0].update(category_id=[3]), r"category_id \[3\]", 3, 2,
    ),
    "too large": (
        lambda c: c["annotations"][2].update(bbox=[1, 1, 2, 10**400]), "no four", 3, 2,
    ),
    "no such category": (
        lambda c: c["annotations"][0].update(category_id=99), "category_id 99.* is no class", 3, 2,
    ),
    "no area": (lambda c: c["annotations"][2].update(bbox=[1, 1, 0, 4]), "a box of 0x4", 3, 2),
    "no box": (lambda c: c["annotations"][2].pop("bbox"), "annotation 3 of a: .* no four", 3, 2),
    "three numbers": (lambda c: c["annotations"][2].update(bbox=[1, 1, 2]), "no four", 3, 2),
    "not finite": (
        lambda c: c["annotations"][2].update(bbox=[1, 1, 2, float("nan")]), "no four", 3, 2,
    ),
    "outside": (
        lambda c: c["annotations"][2].update(bbox=[90, 1, 9, 9]), "39 pixels over the edge", 3, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_or_left_out(place: Path, fault: str) -> None:
    plant, message, images, objects = FAULTS[fault]
    found = content()
    plant(found)
    (place / "all.json").write_text(json.dumps(found))
    spec = f"coco:{place}/all.json,{place}/pictures"
    with pytest.raises(UserError, match=message) as told:
        open_detection(spec, "all")
    assert str(place / "all.json") in str(told.value)
    data = open_detection(spec, "all", strict=False)
    assert (len(data), sum(len(data.objects(i)) for i in range(len(data)))) == (images, objects)
    (finding,) = data.findings  # type: ignore[attr-defined]
    report = check(spec, progress=False)
    assert finding.text in [each.text for each in report.findings if each.severity == "error"]


def test_results_may_be_of_pictures_that_are_left_out(place: Path) -> None:
    (place / "pictures" / "a.png").unlink()
    broken = (place / "pictures" / "empty.jpg").read_bytes()[:-200]
    (place / "pictures" / "empty.jpg").write_bytes(broken)
    data = open_detection(f"coco:{place}/all.json,{place}/pictures", "all", strict=False)
    assert list(data.keys) == ["b"]
    found = [
        {"image_id": number, "category_id": 7, "bbox": [1.5, 2, 10, 20], "score": 0.9}
        for number in (10, 20, 30)
    ]
    file = place / "found.json"
    file.write_text(json.dumps(found))
    scores = evaluate(ResultsFile(file, data), data, progress=False)
    assert scores["by_class"]["zebra"]["AP50"] == 1
    assert (scores["detections"]["true"], scores["detections"]["false"]) == (1, 0)
    assert {kind: row["count"] for kind, row in scores["left_out"].items()} == {
        "no picture": 1,
        "unreadable": 1,
    }
    assert "left out of the data, or cut: 1 annotations have no picture; 1 files" in describe(
        scores
    )
    file.write_text(json.dumps([{**found[0], "image_id": 40}]))
    with pytest.raises(UserError, match="image_id 40 is no picture of coco all"):
        ResultsFile(file, data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "must be an object"),
        ('{"images": []}', "needs `categories`"),
        ('{"images": 3, "categories": [{"id": 1, "name": "a"}]}', "needs `images`"),
        ('{"images": [], "annotations": [], "categories": []}', "has no categories"),
        ('{"images": [], "annotations": [], "categories": [{"id": 1}]}', "category 0: needs"),
        (
            '{"images": [], "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}',
            "is there twice",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}',
            "has no pictures",
        ),
    ],
)
def test_files_that_are_something_else(place: Path, text: str, message: str) -> None:
    (place / "all.json").write_text(text)
    with pytest.raises(UserError, match=message):
        open_detection(f"coco:{place}/all.json,{place}/pictures", "all")


def test_files_that_are_not_there(place: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        open_detection(f"coco:{place}/all.json,{place}/none", "all")
    with pytest.raises(UserError, match="cannot be read"):
        open_detection(f"coco:{place}/none.json,{place}/pictures", "all")
    with pytest.raises(UserError, match="no such file for any of train"):
        open_detection(f"coco:{place}/{{split}}.json,{place}/pictures", "train")
