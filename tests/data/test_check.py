"""`data check`: what is planted is found, what is well is left in peace."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from triptych.data.check import CheckReport, check
from triptych.errors import UserError

TRAIN = ["0001TP_006690", "0001TP_006720", "0016E5_07920", "0016E5_08190"]
VAL = ["0016E5_07959", "0016E5_07961"]


def scene(seed: int) -> Image.Image:
    """A picture that looks like nothing else: smooth blotches, 160 x 120."""
    noise = np.random.default_rng(seed).integers(0, 256, (15, 20, 3), np.uint8)
    smooth = Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)
    return smooth.filter(ImageFilter.GaussianBlur(2))


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """A small CamVid in SegNet's layout without a fault."""
    for split, keys in (("train", TRAIN), ("val", VAL)):
        for folder in (split, f"{split}annot"):
            (tmp_path / folder).mkdir()
        for key in keys:
            number = (TRAIN + VAL).index(key)
            scene(number).save(tmp_path / split / f"{key}.png")
            labels = np.full((120, 160), number, np.uint8)
            labels[:30] = 11
            Image.fromarray(labels).save(tmp_path / f"{split}annot" / f"{key}.png")
    return tmp_path


def examine(root: Path) -> CheckReport:
    return check(f"camvid:{root}", progress=False)


def errors(report: CheckReport) -> list[str]:
    return [finding.text for finding in report.findings if finding.severity == "error"]


def test_shares_drives_and_numbers(camvid: Path) -> None:
    report = examine(camvid)
    assert not report.wrong
    assert errors(report) == []
    train = report.splits["train"]
    assert train["frames"] == 4
    shares = {row["value"]: (row["class"], row["share"]) for row in train["labels"]}
    assert shares["id 11"] == ("void", pytest.approx(1 / 4))
    assert shares["id 2"] == ("Pole", pytest.approx(3 / 16))
    assert train["groups"]["0001TP"]["frames"] == 2
    mean = np.mean([np.asarray(scene(number).convert("L")).mean() for number in (0, 1)])
    assert train["groups"]["0001TP"]["luminance"] == pytest.approx(mean, abs=0.6)
    warnings = [finding for finding in report.findings if finding.severity == "warning"]
    assert len(warnings) == 1
    assert "train and val share drive 0016E5 (2 and 2 frames)" in warnings[0].text
    assert "val frames 7959 to 7961 lie between train frames 7920 and 8190" in warnings[0].text
    notes = [finding.text for finding in report.findings if finding.severity == "note"]
    assert any(text.startswith("val: never occurs: Sky, Building") for text in notes)


def test_the_report_as_json_and_text(camvid: Path) -> None:
    report = examine(camvid)
    found = json.loads(json.dumps(report.as_dict()))
    assert found["wrong"] is False
    assert found["findings"][0]["severity"] == "warning"
    assert found["splits"]["val"]["frames"] == 2
    text = report.as_text()
    assert "id 2 (Pole): 18.75 %" in text
    assert "warning: train and val share drive" in text


def relabel(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], Path]:
    def apply(root: Path) -> Path:
        path = root / "trainannot" / f"{TRAIN[1]}.png"
        labels = np.asarray(Image.open(path)).copy()
        Image.fromarray(change(labels)).save(path)
        return path

    return apply


def strange_id(labels: np.ndarray) -> np.ndarray:
    labels[60:] = 200
    return labels


def cut_label(root: Path) -> Path:
    path = root / "trainannot" / f"{TRAIN[1]}.png"
    path.write_bytes(path.read_bytes()[:60])
    return path


def text_for_picture(root: Path) -> Path:
    path = root / "val" / f"{VAL[0]}.png"
    path.write_text("hello")
    return path


def no_label(root: Path) -> Path:
    (root / "valannot" / f"{VAL[1]}.png").unlink()
    return root / "val" / f"{VAL[1]}.png"


def no_picture(root: Path) -> Path:
    (root / "val" / f"{VAL[1]}.png").unlink()
    return root / "valannot" / f"{VAL[1]}.png"


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (relabel(strange_id), "id 200 is neither a class nor void: 12 % of all pixels, in 1 files"),
        (relabel(lambda labels: np.stack([labels] * 3, axis=-1)), "1 labels are RGB colours"),
        (relabel(lambda labels: labels[:-1]), "label 160x119, picture 160x120"),
        (cut_label, "cannot be read"),
        (text_for_picture, "cannot be read"),
        (no_label, "without a partner"),
        (no_picture, "without a partner"),
    ],
)
def test_planted_faults(camvid: Path, plant: Callable[[Path], Path], message: str) -> None:
    file = plant(camvid)
    report = examine(camvid)
    assert report.wrong
    (finding,) = [finding for finding in report.findings if finding.severity == "error"]
    assert message in finding.text
    assert str(file) in finding.text
    assert finding.files == (str(file),)


def test_void_all_over_is_a_warning(camvid: Path) -> None:
    file = relabel(lambda labels: np.full_like(labels, 255))(camvid)
    report = examine(camvid)
    assert not report.wrong
    assert any("void all over" in f.text and f.files == (str(file),) for f in report.findings)


def jpeg(picture: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


@pytest.mark.parametrize(
    ("copy", "kind"),
    [
        (lambda picture: picture, "the same pixels"),
        (lambda picture: jpeg(picture, 90), "re-encoded"),
        (lambda picture: jpeg(picture, 20), "re-encoded"),
        (lambda picture: picture.resize((80, 60)).resize((160, 120)), "re-encoded"),
        (lambda picture: jpeg(picture.resize((96, 72)), 60).resize((160, 120)), "re-encoded"),
    ],
)
def test_planted_copies(
    camvid: Path, copy: Callable[[Image.Image], Image.Image], kind: str
) -> None:
    ours, theirs = camvid / "train" / f"{TRAIN[0]}.png", camvid / "val" / f"{VAL[1]}.png"
    copy(Image.open(ours)).save(theirs)
    report = examine(camvid)
    assert report.wrong
    (text,) = errors(report)
    assert text.startswith("train and val share 1 pictures (")
    assert kind in text
    assert f"{ours} = {theirs}" in text


def test_a_copy_of_another_size(camvid: Path) -> None:
    copy = camvid / "val" / f"{VAL[1]}.png"
    scene(TRAIN.index("0001TP_006720")).resize((320, 240), Image.Resampling.BICUBIC).save(copy)
    label = camvid / "valannot" / f"{VAL[1]}.png"
    Image.open(label).resize((320, 240), Image.Resampling.NEAREST).save(label)
    (text,) = errors(examine(camvid))
    assert "0001TP_006720.png = " in text


def test_pictures_without_detail_are_no_copies_of_each_other(camvid: Path) -> None:
    Image.new("RGB", (160, 120), (90, 90, 90)).save(camvid / "train" / f"{TRAIN[0]}.png")
    Image.new("RGB", (160, 120), (91, 90, 90)).save(camvid / "val" / f"{VAL[0]}.png")
    assert not examine(camvid).wrong


def test_interleaved_splits_and_shared_folders(tmp_path: Path) -> None:
    for number in range(6):
        split = ("train", "val")[number % 2]
        for what, image in (("images", scene(number)), ("labels", Image.new("L", (160, 120), 3))):
            path = tmp_path / what / split / "town" / f"{number:03}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    report = check(f"folder:{tmp_path}", progress=False)
    assert not report.wrong
    assert "their frame numbers interleave, the nearest 1 apart" in report.findings[0].text


def test_streets_have_no_fault() -> None:
    report = check("streets:scenes=2,frames=2,size=192x96", progress=False)
    assert errors(report) == []
    assert report.splits["train"]["frames"] == 4


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not CamVid"):
        examine(tmp_path)


def test_camvid_itself(shared: Path) -> None:
    report = check(f"camvid:{shared / 'data' / 'CamVid'}", progress=False)
    assert not report.wrong
    assert errors(report) == []
    (warning,) = [f.text for f in report.findings if f.severity == "warning"]
    assert "share drive 0016E5 (204 and 101 frames)" in warning
    assert "val frames 7959 to 8159 lie between train frames 7920 and 8190" in warning
    groups = report.splits["train"]["groups"]
    assert {drive: row["frames"] for drive, row in groups.items()} == {
        "0001TP": 62,
        "0006R0": 101,
        "0016E5": 204,
    }
    assert groups["0001TP"]["luminance"] == pytest.approx(60, abs=1)
    assert groups["0006R0"]["luminance"] == pytest.approx(137, abs=1)
