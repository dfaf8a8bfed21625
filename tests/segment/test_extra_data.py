"""Data that is trained on along: what a teacher labelled keeps the teacher's classes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from triptych import cli
from triptych.data.class_record import write_classes
from triptych.data.classes import CAMVID, CITYSCAPES
from triptych.data.mapping import CITYSCAPES_TO_CAMVID
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.run import read_json
from triptych.segment.joined import JoinedFrames, with_extra

Write = Callable[[Path, Mapping[str, Mapping[str, int]]], Path]

SMALL = (
    "--set val_data=none --set epochs=1 --set batch_size=2 --set warmup=0 --set crop=32,48 "
    "--device cpu"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_drives: Write) -> Path:
    torch.set_num_threads(1)
    splits = {"train": {"A": 3, "B": 2}, "val": {"A": 1, "B": 1}}
    return write_drives(tmp_path_factory.mktemp("data") / "CamVid", splits)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, data: Path, write_drives: Write) -> Path:
    """Pictures without labels, and beside them in `out` what a teacher says of them."""
    place = tmp_path_factory.mktemp("labelled")
    train = f"train segment/tiny --set data=camvid:{data} {SMALL} --out {place / 'teacher'}"
    assert cli.main(train.split()) == 0
    # After as many frames as `data` has, so that none is in both.
    other = write_drives(place / "other", {"none": {"Y": 7}, "train": {"X": 4}})
    shutil.move(other / "train", place / "pictures")
    predict = f"predict {place / 'pictures'} --model {place / 'teacher'} --save-labels"
    more = f"--runtime torch --device cpu --out {place / 'out'}"
    assert cli.main(f"{predict} {more}".split()) == 0
    return place


def labels_in(place: Path) -> Path:
    (found,) = (place / "out" / "labels").iterdir()
    return found


def training(data: Path, extra: str, out: Path, more: str = "") -> list[str]:
    asked = f"train segment/tiny --set data=camvid:{data} --set extra_data={extra}"
    return f"{asked} {SMALL} {more} --out {out}".split()


def hand_arranged(labelled: Path, folder: Path) -> str:
    shutil.copytree(labelled / "pictures", folder / "images" / "train")
    shutil.copytree(labels_in(labelled), folder / "labels" / "train")
    return f"folder:{folder}"


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_predict_writes_is_trained_on_with_the_classes_that_it_means(
    data: Path, labelled: Path, tmp_path: Path, by_hand: bool
) -> None:
    extra = (
        hand_arranged(labelled, tmp_path / "arranged")
        if by_hand
        else f"labelled:{labelled / 'pictures'},{labels_in(labelled)}"
    )
    joined = with_extra(open_data(f"camvid:{data}", "train"), extra)
    assert isinstance(joined, JoinedFrames)
    assert (len(joined), joined.classes) == (5 + 4, CAMVID)
    written = {p.stem: np.array(Image.open(p)) for p in labels_in(labelled).glob("*.png")}
    assert len(written) == 4
    for index, key in list(enumerate(joined.keys))[5:]:
        image, labels = joined.load(index)
        stem = key.rpartition("/")[2]
        assert (labels == written[stem]).all()
        assert (image == np.array(Image.open(labelled / "pictures" / f"{stem}.png"))).all()
        assert joined.check(index) == labels.shape
    out = tmp_path / "run"
    assert cli.main(training(data, extra, out)) == 0
    assert read_json(out / "audit.json")["training_images"] == 9
    assert read_json(out / "classes.json")["names"] == list(CAMVID.names)


def test_cityscapes_labels_become_camvids(data: Path, labelled: Path, tmp_path: Path) -> None:
    shutil.copytree(labels_in(labelled), tmp_path / "labels")
    write_classes(tmp_path / "labels", CITYSCAPES)
    first = min((tmp_path / "labels").glob("*.png"))
    wanted = np.arange(19, dtype=np.uint8).repeat(48 * 64 // 19 + 1)[: 48 * 64].reshape(48, 64)
    Image.fromarray(wanted).save(first)
    extra = f"labelled:{labelled / 'pictures'},{tmp_path / 'labels'}"
    joined = with_extra(open_data(f"camvid:{data}", "train"), extra)
    found = joined.load(5)[1]
    for number, name in enumerate(CITYSCAPES.names):
        assert {CAMVID.names[k] for k in found[wanted == number]} == {CITYSCAPES_TO_CAMVID[name]}


def test_other_classes_are_one_line_that_helps(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    streets = "streets:scenes=1,frames=1,size=64x48"
    asked = f"train segment/tiny --set data={streets} --set extra_data=camvid:{data} {SMALL}"
    assert cli.main(f"{asked} --out {tmp_path / 'out'}".split()) == 2
    error = capsys.readouterr().err
    assert "extra_data: its classes (camvid: camvid11, 11) are not those of the data" in error
    assert "--set extra_data=none" in error
    assert "--map" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folds", ["none", "drives"])
class TestItsContentIsKnown:
    def folds(self, folds: str) -> str:
        split = "trainval" if folds == "drives" else "train"
        return f"--set folds={folds} --set train_split={split}"

    @pytest.fixture
    def copied(self, labelled: Path, tmp_path: Path) -> str:
        return hand_arranged(labelled, tmp_path / "one")

    def test_elsewhere_it_is_the_same_and_changed_it_is_refused(
        self, data: Path, copied: str, tmp_path: Path, folds: str,
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        out = tmp_path / "out"
        assert cli.main(training(data, copied, out, self.folds(folds))) == 0
        monkeypatch.setattr("triptych.segment.train.start", None)  # from here on nothing is begun
        shutil.move(tmp_path / "one", tmp_path / "two")
        moved = copied.replace("one", "two")
        assert cli.main(training(data, moved, out, self.folds(folds))) == 0
        file = min((tmp_path / "two" / "labels" / "train").glob("*.png"))
        labels = np.array(Image.open(file))
        labels[0, 0] = 10 - labels[0, 0]
        Image.fromarray(labels).save(file)
        capsys.readouterr()
        assert cli.main(training(data, moved, out, self.folds(folds))) == 2
        assert "belongs to" in capsys.readouterr().err

    def test_a_label_in_it_that_is_wrong_leaves_no_folder(
        self, data: Path, copied: str, tmp_path: Path, folds: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        file = max((tmp_path / "one" / "labels" / "train").glob("*.png"))
        Image.fromarray(np.full((48, 64), 11, np.uint8)).save(file)
        assert cli.main(training(data, copied, tmp_path / "out", self.folds(folds))) == 2
        assert f"{file.name}: id 11 is not a class" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_runs_without_it_are_known_as_they_were(data: Path, tmp_path: Path) -> None:
    asked = f"train segment/tiny --set data=camvid:{data} {SMALL} --out {tmp_path / 'out'}"
    assert cli.main([*asked.split(), "--set", "folds=drives", "--set", "train_split=trainval"]) == 0
    every = open_data(f"camvid:{data}", "trainval").fingerprint()
    assert json.loads((tmp_path / "out" / "recipe.json").read_text())["fingerprint"] == {
        "all": every
    }


def test_data_that_is_not_there(data: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        with_extra(open_data(f"camvid:{data}", "train"), "labelled:/nowhere,/nowhere")
