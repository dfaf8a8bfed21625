"""CamVid in both layouts: what is read, which frames make a split, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.camvid import COLOUR_CODE, GROUPS, CamVid, classic_split
from triptych.data.classes import CAMVID
from triptych.errors import UserError


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def segnet(root: Path, **splits: list[str]) -> Path:
    """A data set whose frame number i of a split is filled with i, its labels i, 11 and 0."""
    for split, keys in splits.items():
        for index, key in enumerate(keys):
            write(root / split / f"{key}.png", np.full((2, 3, 3), index))
            write(root / f"{split}annot" / f"{key}.png", np.array([[index, 11, 0]] * 2))
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return segnet(
        tmp_path / "CamVid",
        train=["0001TP_006690", "0006R0_f00930", "0016E5_07920"],
        val=["0016E5_07959"],
    )


def test_segnet_layout(small: Path) -> None:
    data = CamVid(small).open("train")
    assert list(data.keys) == ["0001TP_006690", "0006R0_f00930", "0016E5_07920"]
    assert list(data.groups) == ["0001TP", "0006R0", "0016E5"]
    picture, labels = data.load(2)
    assert picture.shape == (2, 3, 3)
    assert picture.dtype == labels.dtype == np.uint8
    assert labels.tolist() == [[2, 255, 0]] * 2


def test_drive_splits_partition_train_and_val(small: Path) -> None:
    folder = CamVid(small)
    everything = list(folder.open("trainval").keys)
    assert everything == ["0001TP_006690", "0006R0_f00930", "0016E5_07920", "0016E5_07959"]
    for drive in ("0001TP", "0006R0", "0016E5"):
        inside, outside = folder.open(f"drive:{drive}"), folder.open(f"not-drive:{drive}")
        assert set(inside.groups) == {drive}
        assert drive not in outside.groups
        assert sorted([*inside.keys, *outside.keys]) == everything
    assert folder.open("drive:0016E5").load(1)[1].tolist() == [[0, 255, 0]] * 2


@pytest.mark.parametrize("split", ["test", "drive:0009XX", "drive:", "nonsense", "drive"])
def test_split_that_is_not_there(small: Path, split: str) -> None:
    with pytest.raises(UserError, match=r"there are: train, val, trainval, drive:0001TP"):
        CamVid(small).open(split)


def test_missing_split_names_its_folder(small: Path) -> None:
    with pytest.raises(UserError, match=f"^{small / 'test'}: "):
        CamVid(small).open("test")


def test_not_camvid(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        CamVid(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not CamVid"):
        CamVid(tmp_path)


def test_missing_partner_is_not_dropped(small: Path) -> None:
    (small / "trainannot" / "0006R0_f00930.png").unlink()
    with pytest.raises(UserError, match=r"train.0006R0_f00930\.png.*no partner"):
        CamVid(small).open("train")
    assert len(CamVid(small).open("val")) == 1
    shutil.rmtree(small / "trainannot")
    with pytest.raises(UserError, match=r"trainannot: no such folder"):
        CamVid(small).open("train")


def test_broken_files_are_named(small: Path) -> None:
    data = CamVid(small).open("train")
    label = small / "trainannot" / "0001TP_006690.png"
    write(label, np.array([[0, 11, 12]] * 2))
    with pytest.raises(UserError, match=rf"^{label}: id 12 is not a class"):
        data.load(0)
    write(label, np.zeros((2, 3, 3)))
    with pytest.raises(UserError, match=rf"^{label}: colour-coded"):
        data.load(0)
    write(label, np.zeros((3, 3)))
    with pytest.raises(UserError, match=rf"^{label}: 3x3, but .* is 3x2"):
        data.load(0)
    label.write_bytes(label.read_bytes()[:40])
    with pytest.raises(UserError, match=rf"^{label}: cannot be read"):
        data.load(0)
    picture = small / "train" / "0006R0_f00930.png"
    picture.write_text("not a picture")
    with pytest.raises(UserError, match=rf"^{picture}: cannot be read"):
        data.load(1)


def test_fingerprint_is_of_the_content_alone(small: Path, tmp_path: Path) -> None:
    before = CamVid(small).open("train").fingerprint()
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(small, copy)
    assert CamVid(copy).open("train").fingerprint() == before
    assert CamVid(copy).open("val").fingerprint() != before
    write(copy / "trainannot" / "0001TP_006690.png", np.array([[1, 11, 0]] * 2))
    assert CamVid(copy).open("train").fingerprint() != before


def original(root: Path, *keys: str) -> Path:
    for key in keys:
        write(root / "701_StillsRaw_full" / f"{key}.png", np.full((2, 3, 3), 7))
        coded = [
            [(64, 0, 128), (64, 128, 192), (0, 0, 0)],
            [(192, 0, 64), (0, 0, 64), (64, 192, 0)],
        ]
        write(root / "LabeledApproved_full" / f"{key}_L.png", np.array(coded))
    return root


def test_original_layout_groups_colours(tmp_path: Path) -> None:
    data = CamVid(original(tmp_path, "0006R0_f00930", "Seq05VD_f00000")).open("train")
    assert list(data.keys) == ["0006R0_f00930"]
    names = [["Car", "Car", None], ["Road", "Pole", "Building"]]
    expected = [[255 if n is None else CAMVID.names.index(n) for n in row] for row in names]
    assert data.load(0)[1].tolist() == expected


def test_original_layout_refuses_an_unknown_colour(tmp_path: Path) -> None:
    original(tmp_path, "0006R0_f00930")
    label = tmp_path / "LabeledApproved_full" / "0006R0_f00930_L.png"
    write(label, np.full((2, 3, 3), 1))
    with pytest.raises(UserError, match=rf"^{label}: colour \(1, 1, 1\)"):
        CamVid(tmp_path).open("train").load(0)


def test_the_32_original_classes() -> None:
    assert list(GROUPS) == sorted(GROUPS, key=CAMVID.names.index) == list(CAMVID.names)
    names = [name for members in GROUPS.values() for name, _ in members]
    assert len(names) == len(set(names)) == 31
    assert len(COLOUR_CODE.colours) == 32  # with Void
    # Where the class is one original class, SegNet shows it in the original's colour.
    assert dict(GROUPS["Sky"])["Sky"] == CAMVID.colours[CAMVID.names.index("Sky")]


def test_classic_split_of_the_original(tmp_path: Path) -> None:
    keys = {
        "train": ["0001TP_008520", "0006R0_f03930", "0016E5_07920", "0016E5_08190"],
        "val": ["0016E5_07959", "0016E5_08159"],
        "test": ["0001TP_008550", "Seq05VD_f00000"],
    }
    folder = CamVid(original(tmp_path, *(key for members in keys.values() for key in members)))
    for split, members in keys.items():
        assert list(folder.open(split).keys) == members
    assert folder.splits() == ["train", "val", "test"]
    assert set(folder.open("trainval").keys) == {*keys["train"], *keys["val"]}
    (tmp_path / "val.txt").write_text("701_StillsRaw_full/0006R0_f03930.png x\n\n0016E5_07920\n")
    assert list(folder.open("val").keys) == ["0006R0_f03930", "0016E5_07920"]


def test_classic_split_agrees_with_the_published_one(shared: Path) -> None:
    folder = CamVid(shared / "data" / "CamVid")
    for split, frames in (("train", 367), ("val", 101)):
        data = folder.open(split)
        assert len(data) == frames
        assert {classic_split(key) for key in data.keys} == {split}
    assert len(folder.open("drive:0016E5")) == 305
    assert len(folder.open("not-drive:0016E5")) == 163
