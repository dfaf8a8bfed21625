"""Frames of an evaluation as pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.open_data import open_data
from triptych.evaluation_folder import media_name
from triptych.segment.labeller import FrameKey
from triptych.segment.media import MOST, Shown


def test_pictures_are_the_frames_and_their_labels(tmp_path: Path) -> None:
    data = open_data("streets:scenes=2,frames=2,size=96x48", "val")
    shown = Shown(tmp_path, data)
    for index in range(len(data)):
        picture, truth = data.load(index)
        shown.write(index, picture, truth, np.roll(truth, 1, axis=1))
    names = {media_name(key) for key in data.keys}
    for layer, ending in (("input", "jpg"), ("truth", "png"), ("labels", "png")):
        files = sorted((tmp_path / "media" / layer).iterdir())
        assert {file.name for file in files} == {f"{name}.{ending}" for name in names}
    picture, truth = data.load(0)
    name = media_name(data.keys[0])
    with Image.open(tmp_path / f"media/truth/{name}.png") as opened:
        assert (np.asarray(opened) == truth).all()
        colours = np.asarray(opened.convert("RGB"))
    assert (colours == data.classes.palette()[truth]).all()
    with Image.open(tmp_path / f"media/labels/{name}.png") as opened:
        assert (np.asarray(opened) == np.roll(truth, 1, axis=1)).all()
    with Image.open(tmp_path / f"media/input/{name}.jpg") as opened:
        assert np.abs(np.asarray(opened).astype(int) - picture).mean() < 8


class Many:
    """A split of 100 large frames."""

    def __init__(self, classes: object) -> None:
        self.classes, self.keys = classes, [f"drive/{number:03d}.png" for number in range(100)]

    def __len__(self) -> int:
        return 100


def test_few_of_many_and_small(tmp_path: Path) -> None:
    classes = open_data("streets:scenes=1,frames=1,size=96x48", "val").classes
    shown = Shown(tmp_path, Many(classes))  # type: ignore[arg-type]
    picture, labels = np.zeros((640, 1280, 3), np.uint8), np.zeros((640, 1280), np.uint8)
    for index in range(100):
        shown.write(index, picture, labels, labels)
    files = sorted(file.name for file in (tmp_path / "media/labels").iterdir())
    assert len(files) == MOST
    assert (files[0], files[-1]) == ("drive,000.png", "drive,099.png")
    for layer, name in (("labels", "drive,000.png"), ("input", "drive,000.jpg")):
        with Image.open(tmp_path / "media" / layer / name) as opened:
            assert opened.size == (640, 320)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("0001TP/0001TP_006690.png", r"0001TP,0001TP_006690"),
        ("a b/ü.v2", r"a_b,ü\.v2-[0-9a-f]{8}"),
        ("../../etc/x.JPG", r",\.\.,etc,x-[0-9a-f]{8}"),
    ],
)
def test_names(key: str, name: str) -> None:
    assert re.fullmatch(name, media_name(key))


def test_every_key_has_a_name_of_its_own_that_a_disk_takes(tmp_path: Path) -> None:
    keys = [
        "a/b",
        "a_b",
        "a b",
        "a,b",
        "A/b",
        "/".join(["街道" * 30] * 3),
        "/".join(["街道" * 30] * 4),
    ]
    names = [media_name(key) for key in keys]
    assert len(set(names)) == len(keys)
    for name in names:
        (tmp_path / f"missed-{name}.jpg").touch()


def test_an_evaluation_has_them(tmp_path: Path) -> None:
    from triptych.segment.evaluate import evaluate

    data = open_data("streets:scenes=1,frames=2,size=96x48", "val")

    class Perfect:
        name, classes, concurrency = "perfect", data.classes, 1

        def labels(self, images: object, keys: list[FrameKey], shape: object) -> np.ndarray:
            return np.stack([data.load(key.index)[1] for key in keys])

    evaluate(Perfect(), data, out=tmp_path / "e", progress=False)  # type: ignore[arg-type]
    media = tmp_path / "e/media"
    for truth in (media / "truth").iterdir():
        assert truth.read_bytes() == (media / "labels" / truth.name).read_bytes()
    assert len(list((media / "input").iterdir())) == len(data)
