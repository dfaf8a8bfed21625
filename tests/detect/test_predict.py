"""`predict` with detectors: what is drawn, counted and written for pictures and videos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from triptych.data.boxes import Objects, no_objects
from triptych.detect.coco_results import ResultsFile
from triptych.detect.detections import Detections
from triptych.detect.draw import class_colour
from triptych.detect.predict import DetectOptions, describe, predict
from triptych.errors import UserError, WorkFailed
from triptych.video import write_video

Picture = NDArray[np.uint8]

BLUE, RED = (0, 0, 255), (255, 0, 0)
QUIET = DetectOptions(progress=False)


class Finds:
    """A detector that knows blue and red rectangles; the red ones it is unsure of."""

    def __init__(self, name: str = "finds", classes: tuple[str, ...] = ("blue", "red")) -> None:
        self.name, self.classes = name, classes

    def predict(self, images: Sequence[Picture], keys: Sequence[str]) -> list[Detections]:
        return [self._one(image) for image in images]

    def _one(self, image: Picture) -> Detections:
        boxes, scores, labels = [], [], []
        for name, colour, score in (("blue", BLUE, 0.9), ("red", RED, 0.1 + 0.2)):
            ys, xs = np.nonzero((np.abs(image.astype(int) - colour) < 60).all(axis=2))
            if len(ys):
                boxes.append([xs.min(), ys.min(), xs.max() + 1.1, ys.max() + 1.1])
                scores.append(score)
                labels.append(self.classes.index(name))
        boxes.append([np.nan] * 4)  # as a diverged model would
        return Detections(
            np.array(boxes, np.float32), np.array([*scores, 1.0]), np.array([*labels, 0], np.int64)
        )


def picture(blue: bool = True, red: bool = True, size: tuple[int, int] = (80, 120)) -> Picture:
    image = np.full((*size, 3), 128, np.uint8)
    if blue:
        image[30:70, 10:40] = BLUE
    if red:
        image[40:60, 70:100] = RED
    return image


def folder_of(path: Path, **pictures: Picture) -> Path:
    path.mkdir()
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(path / f"{name}.png")
    return path


def pixels(file: Path) -> Picture:
    return np.asarray(Image.open(file))


def test_pictures_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = folder_of(
        tmp_path / "in", a=picture(), b=picture(blue=False, size=(90, 140)), c=picture(False, False)
    )
    (source / "broken.jpg").write_bytes(b"no")
    out = tmp_path / "out"
    summary = predict(source, [Finds()], out, QUIET)
    names = {path.name for path in out.iterdir()}
    assert names == {"a.png", "b.png", "c.png", "detections.json", "summary.json"}
    assert summary == json.loads((out / "summary.json").read_text())
    assert summary["frames"] == 3
    assert [each["file"] for each in summary["skipped"]] == ["broken.jpg"]
    assert "broken.jpg" in caplog.text
    (model,) = summary["models"]
    assert model["objects"] == {"blue": 1, "red": 0}
    assert model["frames_with_objects"] == 1
    text = describe(summary)
    assert "finds: blue 1 (score 0.5 or more, in 1 of 3 frames)" in text
    assert "skipped: 1 pictures" in text

    # The input left, the same with a box right; a strip with names below.
    shown = pixels(out / "a.png")
    assert shown.shape[1] == 2 * 120
    assert 80 < shown.shape[0] < 80 * 1.5
    np.testing.assert_array_equal(shown[:80, :120], picture())
    assert tuple(shown[50, 120 + 10]) == class_colour(0)
    np.testing.assert_array_equal(shown[40:60, 120 + 70 :][:, :30], picture()[40:60, 70:100])
    assert pixels(out / "b.png").shape[1] == 2 * 140


def test_a_lower_score_draws_more(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", a=picture())
    options = DetectOptions(view="blend", min_score=0.25, progress=False)
    summary = predict(source / "a.png", [Finds()], tmp_path / "out", options)
    assert summary["models"][0]["objects"] == {"blue": 1, "red": 1}
    shown = pixels(tmp_path / "out" / "a.png")
    assert shown.shape[1] == 120
    assert tuple(shown[50, 10]) == class_colour(0)
    assert tuple(shown[50, 70]) == class_colour(1)


def test_two_side_by_side_have_one_colour_for_a_class(tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", a=picture())
    models = [Finds("runs/one"), Finds("runs/two", ("red", "blue"))]
    out = tmp_path / "out"
    predict(source, models[:1], out, QUIET)
    summary = predict(source, models, out, QUIET)
    assert {path.name for path in out.glob("*.json")} == {
        "detections-runs_one.json", "detections-runs_two.json", "summary.json",
    }  # fmt: skip
    assert [each["detections"] for each in summary["models"]] == [
        "detections-runs_one.json", "detections-runs_two.json",
    ]  # fmt: skip
    shown = pixels(out / "a.png")
    assert shown.shape[1] == 3 * 120
    np.testing.assert_array_equal(shown[:80, 120:240], shown[:80, 240:360])
    assert tuple(shown[50, 120 + 10]) == class_colour(0)


class Data:
    """The pictures of the folder as data to score on."""

    name, split, classes, groups = "tiny", "val", ("blue", "red"), None
    keys = ("a", "b", "c")

    def __len__(self) -> int:
        return 3

    def load(self, index: int) -> tuple[Picture, Objects]:
        raise NotImplementedError

    def objects(self, index: int) -> Objects:
        return no_objects()

    def fingerprint(self) -> str:
        return ""


def test_the_file_of_detections_is_read_back_as_it_was(tmp_path: Path) -> None:
    images = {"a": picture(), "b": picture(blue=False), "c": picture(False, False)}
    predict(folder_of(tmp_path / "in", **images), [Finds()], tmp_path / "out", QUIET)
    file = ResultsFile(tmp_path / "out" / "detections.json", Data())
    assert file.classes == ("blue", "red")
    found = file.predict(list(images.values()), list(images))
    for image, there in zip(images.values(), found, strict=True):
        wanted = Finds().predict([image], [""])[0].finite()
        np.testing.assert_array_equal(there.boxes, wanted.boxes)
        np.testing.assert_array_equal(there.labels, wanted.labels)
        np.testing.assert_array_equal(there.scores.astype("f4"), wanted.scores.astype("f4"))
    assert [len(each) for each in found] == [2, 1, 0]


def test_any_float32_is_read_back_as_it_was(tmp_path: Path) -> None:
    from triptych.detect.results_writing import ResultsWriter

    rng = np.random.default_rng(0)
    low = rng.uniform(-5, 1900, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 900, (200, 2))], axis=1).astype(np.float32)
    scores = rng.random(200).astype(np.float32)
    labels = rng.integers(0, 2, 200)
    with ResultsWriter(tmp_path / "d.json", ("blue", "red")) as writer:
        writer.add("a.jpg", 1000, 2000, Detections(boxes, scores.astype(np.float64), labels))
    there = ResultsFile(tmp_path / "d.json", Data()).predict([], ["a"])[0]
    np.testing.assert_array_equal(there.boxes, boxes)
    np.testing.assert_array_equal(there.scores.astype(np.float32), scores)
    np.testing.assert_array_equal(there.labels, labels)


def test_a_video(tmp_path: Path) -> None:
    frames = [picture(red=number % 2 == 0) for number in range(12)]
    write_video(tmp_path / "clip.mp4", frames, Fraction(10))
    out = tmp_path / "out"
    options = DetectOptions(min_score=0.2, progress=False)
    summary = predict(tmp_path / "clip.mp4", [Finds()], out, options)
    assert {path.name for path in out.iterdir()} == {"clip.mp4", "detections.json", "summary.json"}
    assert (summary["frames"], summary["frames_lost"]) == (12, 0)
    assert summary["models"][0]["objects"] == {"blue": 12, "red": 6}
    assert set(summary["seconds_per_stage"]) == {"decode", "model", "draw", "encode"}
    with av.open(str(out / "clip.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == 12
    assert shown[0].shape[1] == 2 * 120
    for number, image in enumerate(shown):
        # A canvas is used again: no box of an earlier frame stays.
        frame = np.array(class_colour(1)) if number % 2 == 0 else np.full(3, 128)
        np.testing.assert_allclose(image[48:52, 120 + 70].mean(0), frame, atol=40)
    listed = json.loads((out / "detections.json").read_text())
    assert [each["file_name"] for each in listed["images"][:2]] == ["clip/000000", "clip/000001"]
    assert listed["images"][3]["seconds"] == pytest.approx(0.3)


def test_what_cannot_be_done_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.png").write_bytes(b"no")
    with pytest.raises(WorkFailed, match="none of the 1 pictures can be read"):
        predict(source, [Finds()], tmp_path / "out", QUIET)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="own folder"):
        predict(source, [Finds()], source, QUIET)


@pytest.mark.parametrize("options", [{"view": "labels"}, {"min_score": 1.5}])
def test_wrong_options(tmp_path: Path, options: dict[str, Any]) -> None:
    source = folder_of(tmp_path / "in", a=picture())
    with pytest.raises(UserError, match=f"--{next(iter(options)).replace('_', '-')}"):
        predict(source, [Finds()], tmp_path / "out", DetectOptions(**options))
