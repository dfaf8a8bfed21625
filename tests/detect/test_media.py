"""The pictures that an evaluation leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.labelled import Image as Picture
from triptych.data.open_detection import open_detection
from triptych.detect.detections import Detections, no_detections
from triptych.detect.evaluate import evaluate


class Made:
    """Finds the first object of every picture, but in picture 01 something that is not there."""

    name, classes = "made", ("blue", "red")

    def __init__(self, data: object) -> None:
        self.data = data

    def predict(self, images: Sequence[Picture], keys: Sequence[str]) -> list[Detections]:
        found = []
        for key in keys:
            truth = self.data.objects(self.data.keys.index(key))  # type: ignore[attr-defined]
            if key == "01":
                box = np.array([[70, 2, 94, 20]], np.float32)
                found.append(Detections(box, np.array([0.9]), np.array([1])))
            elif len(truth):
                one = truth.boxes[:1], np.array([0.8]), truth.labels[:1]
                found.append(Detections(*one))
            else:
                found.append(no_detections())
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, boxed: Callable[..., Path]) -> Path:
    data = open_detection(f"vocxml:{boxed(val=6)}", "val")
    out = tmp_path_factory.mktemp("evaluation") / "out"
    evaluate(Made(data), data, out=out, progress=False)
    return out / "media"


def test_each_is_listed_with_what_it_shows(folder: Path) -> None:
    captions = json.loads((folder / "captions.json").read_text())
    assert {path.name for path in folder.glob("*.jpg")} == set(captions)
    kinds = [name.partition("-")[0] for name in captions]
    assert kinds == ["found"] * 6 + ["wrong"] + ["missed"] * kinds.count("missed")
    assert captions["wrong-01.jpg"].startswith("red 0.90: ")
    # Picture 03 is empty; the second object of 02 and 05 is difficult, so not missed.
    missed = {name for name in captions if name.startswith("missed")}
    assert missed == {"missed-00.jpg", "missed-01.jpg", "missed-04.jpg"}
    assert captions["missed-00.jpg"] == "red: nothing found it"


def test_what_was_found_is_drawn_where_it_is(folder: Path) -> None:
    """The frame of the wrong detection has its class's colour, nothing else changed there."""
    wrong = np.asarray(Image.open(folder / "wrong-01.jpg")).astype(int)
    assert wrong.shape == (64, 96, 3)
    line = wrong[2:20, 70:72].reshape(-1, 3).mean(axis=0)
    inside = wrong[8:18, 78:90].reshape(-1, 3).mean(axis=0)
    assert np.abs(line - inside).max() > 40


def test_an_evaluation_with_pictures_is_replaced(folder: Path, boxed: Callable[..., Path]) -> None:
    data = open_detection(f"vocxml:{boxed(val=1)}", "val")
    evaluate(Made(data), data, out=folder.parent, progress=False)
    assert len(list(folder.glob("found-*.jpg"))) == 1
