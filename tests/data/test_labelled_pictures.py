"""Pictures in one folder and label images of them in another."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.check import check
from triptych.data.class_record import write_classes
from triptych.data.classes import CAMVID
from triptych.data.open_data import open_data
from triptych.errors import UserError


def put(path: Path, pixels: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    pictures, labels = tmp_path / "drive", tmp_path / "out" / "labels" / "teacher"
    for number, name in enumerate(("a.jpg", "b.png", "c.webp")):
        put(pictures / name, np.full((2, 3, 3), 40 * number))
        put(labels / f"{name[0]}.png", [[number, 10, 255]] * 2)
    write_classes(labels, CAMVID)
    return pictures, labels


def spec(pictures: Path, labels: Path) -> str:
    return f"labelled:{pictures},{labels}"


def test_every_picture_with_its_labels(places: tuple[Path, Path]) -> None:
    data = open_data(spec(*places), "train")
    assert (data.name, data.classes) == ("labelled", CAMVID)
    assert list(data.keys) == ["a", "b", "c"]
    for number in range(3):
        picture, labels = data.load(number)
        assert abs(int(picture[0, 0, 0]) - 40 * number) < 4
        assert labels.tolist() == [[number, 10, 255]] * 2


def test_it_is_nothing_to_score_on(places: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="no split 'val' here; there are: train"):
        open_data(spec(*places), "val")


def test_two_pictures_of_one_stem(places: tuple[Path, Path]) -> None:
    pictures, labels = places
    put(pictures / "b.jpg", np.full((2, 3, 3), 200))
    with pytest.raises(UserError, match=r"b\.png: and b\.jpg have one label image"):
        open_data(spec(*places), "train")
    # What `predict` writes for two such pictures.
    (labels / "b.png").rename(labels / "b.png.png")
    put(labels / "b.jpg.png", [[7, 7, 7]] * 2)
    data = open_data(spec(*places), "train")
    assert list(data.keys) == ["a", "b.jpg", "b.png", "c"]
    assert data.load(1)[1][0, 0] == 7
    assert data.load(2)[1][0, 0] == 1


def test_what_has_no_partner_is_refused(places: tuple[Path, Path]) -> None:
    pictures, labels = places
    put(pictures / "d.jpg", np.zeros((2, 3, 3)))
    with pytest.raises(UserError, match=r"d\.jpg: has no partner"):
        open_data(spec(*places), "train")
    (pictures / "d.jpg").unlink()
    put(labels / "e.png", [[0]])
    with pytest.raises(UserError, match=r"e\.png: has no partner"):
        open_data(spec(*places), "train")


def test_other_files_are_no_pictures(places: tuple[Path, Path]) -> None:
    pictures, _ = places
    (pictures / "notes.txt").write_text("")
    put(pictures / ".hidden.png", np.zeros((2, 3, 3)))
    put(pictures / "below" / "x.png", np.zeros((2, 3, 3)))
    assert len(open_data(spec(*places), "train")) == 3


def test_it_can_be_checked(places: tuple[Path, Path]) -> None:
    report = check(spec(*places), progress=False)
    assert not report.wrong
    put(places[1] / "a.png", [[11, 0, 0]] * 2)
    report = check(spec(*places), progress=False)
    assert "id 11 is neither a class nor void" in report.findings[0].text


def test_labels_that_do_not_say_their_classes(places: tuple[Path, Path]) -> None:
    pictures, labels = places
    with pytest.raises(UserError, match=r"labels: has no classes\.json.*it is in teacher"):
        open_data(spec(pictures, labels.parent), "train")
    (labels / "classes.json").unlink()
    with pytest.raises(UserError, match=r"teacher: has no classes\.json, which says what the ids"):
        open_data(spec(pictures, labels), "train")


@pytest.mark.parametrize("text", ["", "drive", "drive,", ",labels", "a,b,c"])
def test_it_needs_two_folders(text: str) -> None:
    with pytest.raises(
        UserError, match=re.escape("needs two folders, as in labelled:PICTURES,LABELS")
    ):
        open_data(f"labelled:{text}", "train")


def test_folders_that_are_not_there(places: tuple[Path, Path], tmp_path: Path) -> None:
    pictures, labels = places
    for first, second in ((tmp_path / "nowhere", labels), (pictures, tmp_path / "nowhere")):
        with pytest.raises(UserError, match="nowhere: no such folder"):
            open_data(spec(first, second), "train")
    with pytest.raises(UserError, match=r"a\.jpg: is a file, but labelled needs a folder"):
        open_data(spec(pictures / "a.jpg", labels), "train")
