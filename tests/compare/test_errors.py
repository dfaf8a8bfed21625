"""What a wrong request says on the command line: one line that names the mistake, exit code 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych import cli

PAIR = ("classify/tiny", "classify/tiny:model=vit-tiny")
FRAMES = ("segment/tiny", "segment/tiny:lr=1e-3")
INVERSE = ("segment/inverse", "segment/inverse:lr=1e-3")
OUTSIDE = ("--predictions", "a", "--predictions", "b")
ASKED = (*PAIR, "--varies", "model", "--metric", "top1", "--margin", "0.02")


def refused(capsys: pytest.CaptureFixture[str], line: tuple[str, ...], message: str) -> None:
    assert cli.main(line) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    lines = [text for text in streams.err.splitlines() if "error" in text or "Traceback" in text]
    assert len(lines) == 1
    assert streams.err.endswith(lines[0] + "\n")
    assert lines[0].startswith("triptych: error: ")
    assert message in lines[0]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    root = tmp_path / "pictures"
    draw = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for name in ("one", "two"):
            (root / split / name).mkdir(parents=True)
            for number in range(4):
                pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


@pytest.mark.parametrize("verb", ["train", "compare"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("folder:{}/nowhere", "nowhere: no such folder"),
        ("cifar100:{}/nowhere", "nowhere"),
        ("folder:{}/bare", "needs a sub-folder"),
        ("imagenet", "unknown kind of data"),
        ("objects:trian=3", "did you mean train?"),
    ],
)
def test_a_wrong_data_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, data: str, message: str
) -> None:
    out = tmp_path / "out"
    asked = ("classify/tiny",) if verb == "train" else ASKED
    (tmp_path / "bare").mkdir()
    place = data.format(tmp_path)
    refused(capsys, (verb, *asked, "--set", f"data={place}", "--out", str(out)), message)
    assert not list(tmp_path.rglob("seed-*"))


def test_a_broken_picture_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: Path
) -> None:
    (pictures / "train" / "one" / "2.png").write_bytes(b"\x89PNG broken")
    line = (*ASKED, "--set", f"data=folder:{pictures}", "--out", str(tmp_path / "out"))
    refused(capsys, ("compare", *line), "2.png")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("train", "classify/tyny"), "no recipe 'classify/tyny'; did you mean classify/tiny"),
        (("train", "detect/none"), "no recipe 'detect/none'"),
        (("compare", "classify/tiny", "classify/tyny"), "no recipe 'classify/tyny'"),
        (("compare", "classify/tiny"), "a comparison needs at least two arms"),
        (("compare", "flaw-lader"), "no comparison 'flaw-lader'"),
        (("compare", *PAIR, "--metric", "top2"), "--metric top2: classify has top1, top5"),
        (("compare", *PAIR, "--margin", "0"), "--margin 0: say which difference"),
        (("compare", *PAIR, "--margin", "-0.1"), "--margin -0.1: say which"),
        (("compare", *PAIR, "--varies", "modle"), "--varies modle: the recipes have no such"),
        (("compare", *PAIR, "--seeds", "0"), "'--seeds'"),
        (("compare", *PAIR, "--until-decided", "2"), "'--until-decided'"),
        (("compare", *PAIR), "differs from tiny in model (resnext-tiny against vit-tiny)"),
        (("compare", *PAIR, "--set", "epoch=1"), "did you mean 'epochs'?"),
        (("compare", "classify/small", "segment/tiny"), "is of the study segment"),
        (
            ("compare", *FRAMES, "--varies", "lr", "--metric", "ranking"),
            "--metric ranking: tiny has mIoU, pixel_accuracy, BF",
        ),
        (
            ("compare", *INVERSE, "--varies", "lr", "--metric", "mIoU"),
            "--metric mIoU: inverse has relative_error, degraded_error, ranking",
        ),
        (
            ("compare", *OUTSIDE, "--data", "camvid:nowhere", "--metric", "relative_error"),
            "--metric relative_error: a has mIoU, pixel_accuracy, BF",
        ),
        (
            ("compare", "classify/tiny", "classify/tiny:lr=4e-3", "--varies", "lr"),
            "the arms tiny and tiny-lr-4e-3 are the same recipe",
        ),
    ],
)
def test_a_wrong_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], message: str
) -> None:
    defaults = {"--metric": "top1", "--margin": "0.02"} if line[0] == "compare" else {}
    more = [part for name, value in defaults.items() if name not in line for part in (name, value)]
    refused(capsys, (*line, *more, "--out", str(tmp_path / "out")), message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs=0", "epochs must be at least 1, not 0"),
        ("crop_area=2", "crop_area must be above 0 and at most 1"),
        ("batch_size=abc", "--set batch_size=abc: batch_size takes a whole number"),
        ("batch_size=0", "batch_size must be at least 1"),
        ("lr=-1", "lr must be 0 or more"),
        ("lr=nan", "lr must be 0 or more"),
        ("erasing=1.5", "erasing must be from 0 to 1"),
        ("ema=1", "ema must be from 0 to below 1"),
        ("drop_path=1", "drop_path must be from 0 to below 1"),
        ("repeats=0", "repeats must be at least 1"),
        ("mixup=inf", "mixup and cutmix must be 0 or more"),
        ("cutmix=nan", "mixup and cutmix must be 0 or more"),
        ("trivial=yes", "trivial takes true or false"),
        ("sampler=still", "sampler takes one of moving, fixed"),
        ("precision=float64", "precision takes one of float32, bfloat16, float16"),
        ("colour=blue", "has no field 'colour'"),
        ("name=mine", "has no field 'name'"),
        ("epochs", "write it as key=value"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "compare", "arm"])
def test_an_impossible_override(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, setting: str, message: str
) -> None:
    if verb == "train":
        line: tuple[str, ...] = ("train", "classify/tiny", "--set", setting)
    elif verb == "compare":
        line = ("compare", *ASKED, "--set", setting)
    else:
        line = ("compare", "classify/tiny", f"classify/tiny:{setting}", *ASKED[2:])
    refused(capsys, (*line, "--out", str(tmp_path / "out")), message)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model=vit-tyny", "no classification model is called 'vit-tyny'; did you mean vit-tiny"),
        ("train_images=9", "train_images is 9, but folder:"),
    ],
)
def test_what_only_the_data_or_the_models_know_leaves_no_run_folder(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    pictures: Path,
    setting: str,
    message: str,
) -> None:
    out = tmp_path / "out"
    line = ("train", "classify/tiny", "--set", f"data=folder:{pictures}", "--set", setting)
    refused(capsys, (*line, "--out", str(out)), message)
    assert not out.exists()


def test_a_size_that_the_model_cannot_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        folder = tmp_path / "wide" / name
        folder.mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (24, 16), (number, 0, 0)).save(folder / f"{number}.png")
    line = ("train", "classify/tiny", "--out", str(tmp_path / "out"))
    data = f"data=folder:{tmp_path / 'wide'}"
    refused(capsys, (*line, "--set", data), "images of 24x16, the models want square ones")
    data += ",size=18"
    refused(capsys, (*line, "--set", "model=vit-tiny", "--set", data), "a multiple of 4")
    assert not (tmp_path / "out").exists()


def test_the_folder_of_another_comparison(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: Path
) -> None:
    out = ("--set", "data=folder:nowhere", "--out", str(tmp_path / "c"))
    refused(capsys, ("compare", *ASKED, *out), "nowhere: no such folder")  # the plan is written
    other = (*PAIR, "--varies", "model", "--metric", "top1", "--margin", "0.5")
    message = f"{tmp_path / 'c'} belongs to another comparison: its margin is 0.02, yours is 0.5"
    refused(capsys, ("compare", *other, *out), message)
    refused(capsys, ("compare", *other, *out, "--status"), message)
    # It is no run's folder either, and a run's folder is no comparison's.
    refused(capsys, ("train", "classify/tiny", "--set", f"data=folder:{pictures}",
                     "--out", str(tmp_path / "c")), "not a run folder")  # fmt: skip
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    refused(capsys, ("compare", *ASKED, "--out", str(tmp_path / "run")), "no comparison and not")


def test_status_of_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", *ASKED, "--out", str(tmp_path / "c"), "--status"]) == 0
    assert "tiny seed 0: missing" in capsys.readouterr().out
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_an_audit_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    refused(capsys, ("audit", str(tmp_path / what)), "is neither a run nor a comparison")


def test_predictions_that_are_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: Path
) -> None:
    line = ("compare", "--predictions", f"{tmp_path}/a.csv", "--predictions", f"{tmp_path}/b.csv",
            "--metric", "top1", "--margin", "0.1", "--out", str(tmp_path / "c"))  # fmt: skip
    refused(capsys, line, "--data")
    data = ("--data", f"folder:{pictures}")
    refused(capsys, (*line, *data), f"cannot read {tmp_path}/a.csv")
    refused(capsys, (*line, *data, "--seeds", "3"), "--predictions alone are fixed arms: no")
    refused(capsys, (*line, *data, "--split", "dev"), "no split 'dev'")


def test_predictions_that_cannot_join(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictures: Path
) -> None:
    line = ("compare", *ASKED, "--out", str(tmp_path / "c"), "--set", f"data=folder:{pictures}")
    lost = ("--predictions", f"{tmp_path}/a.csv")
    refused(capsys, (*line, *lost, "--data", "cifar100"), "--data and --split are for fixed arms")
    assert not (tmp_path / "c").exists()
    # What will not do is known before anything is trained.
    refused(capsys, (*line, *lost), f"cannot read {tmp_path}/a.csv")
    drawn = (*line, *lost, "--set", "test_images=2", "--out", str(tmp_path / "d"))
    refused(capsys, drawn, "draws its own (test_images)")
    assert not list(tmp_path.rglob("seed-*"))
    assert not (tmp_path / "c" / "fixed.json").exists()
    # The name on the way to a verdict is a folder's, whatever the file is called.
    (tmp_path / "comparison.json").mkdir()
    hostile = ("--predictions", f"{tmp_path}/../../verdict.json")
    refused(capsys, (*line, *hostile), "verdict.json' will not do")
