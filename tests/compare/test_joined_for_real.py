"""Label images and class scores join trainings of both studies, small but whole."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from triptych import cli
from triptych.compare import Comparison, Predictions
from triptych.compare.run import compare, status
from triptych.data.class_record import write_classes
from triptych.data.classes import CAMVID
from triptych.data.open_data import open_data
from triptych.data.open_images import open_images
from triptych.segment.pictures import write_labels
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.scores import scores_from_items

DRIVES = {"A": ("train",) * 2, "B": ("train", "val")}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def camvid(root: Path) -> str:
    """Four frames of two drives, one of which has frames in train and in val."""
    draw = np.random.default_rng(0)
    for drive, splits in DRIVES.items():
        for number, split in enumerate(splits):
            label = draw.integers(0, 12, (6, 8)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
            image = np.stack([label * 20, 255 - label * 20, label * 7], 2).astype(np.uint8)
            for place, pixels in ((split, image), (f"{split}annot", label)):
                (root / place).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / place / f"{drive}_f{number:05d}.png")
    return f"camvid:{root}"


def label_images(folder: Path, data: str) -> Path:
    """The truth of all frames, but for one class that is always taken for the next."""
    frames = open_data(data, "trainval")
    folder.mkdir()
    for index, key in enumerate(frames.keys):
        labels = frames.load(index)[1]
        write_labels(folder / f"{key}.png", np.where(labels == 0, 1, labels), CAMVID)
    write_classes(folder, CAMVID)
    return folder


def test_published_labels_join_a_comparison_that_leaves_drives_out(tmp_path: Path) -> None:
    data = camvid(tmp_path / "CamVid")
    base = SegmentRecipe(
        name="segment/test", model="tiny", data=data, train_split="trainval", folds="drives",
        epochs=1, batch_size=2, lr=3e-3, crop=(32, 48),
    )  # fmt: skip
    plain = Comparison(
        question="How fast?",
        arms={"slow": base, "fast": replace(base, lr=1e-2)},
        varies=frozenset({"lr"}),
        seeds=(0, 1),
        metric="mIoU",
        margin=0.01,
        beside=("BF", "mIoU@0-60", "mIoU@120-255"),
    )
    out = tmp_path / "c"
    first = compare(plain, out, device="cpu", show_progress=False)
    labels = label_images(tmp_path / "labels", data)
    asked = replace(plain, arms={**plain.arms, "published": Predictions(str(labels))})
    verdict = compare(asked, out, device="cpu", show_progress=False)
    assert {key: verdict[key] for key in first} == first
    found = verdict["fixed"]
    assert found["data"] == "camvid trainval"
    # Every other class is perfect; class 0 is never found, and class 1 found too often.
    whole = scores_from_items(out / "published" / "items.parquet")
    assert (
        found["arms"]["published"]["score"]
        == pytest.approx(whole["mIoU"])
        == pytest.approx(
            sum(v for v in whole["IoU"].values() if v is not None) / whole["classes_averaged"]
        )
    )
    assert whole["IoU"][CAMVID.names[0]] == 0
    for pair, arm in zip(found["pairs"], ("slow", "fast"), strict=True):
        runs = [
            scores_from_items(out / arm / f"seed-{s}" / "evaluations/camvid-folds/items.parquet")
            for s in (0, 1)
        ]
        for drive in DRIVES:
            theirs = np.mean([run["groups"][drive]["mIoU"] for run in runs])
            assert pair["by_group"][drive] == pytest.approx(whole["groups"][drive]["mIoU"] - theirs)
        assert found["recipes"][arm]["score"] == pytest.approx(verdict["arms"][arm]["mean"])
        boundary, dark, _ = pair["beside"]
        assert boundary["pooled_difference"] == pytest.approx(
            whole["BF"] - np.mean([run["BF"] for run in runs])
        )
        assert dark["reason"] == "missing: no item of the data has it"
    assert status(plain, out) == verdict


def test_class_scores_join_a_comparison_of_classifiers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = "objects:train=40,val=20,test=30"
    images = open_images(data, "val")
    file = tmp_path / "theirs.csv"
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["key", *images.classes])
        for key, label in zip(images.keys, images.labels, strict=True):
            rows.writerow([key, *(float(label == index) for index in range(len(images.classes)))])
    line = [
        *("compare", "classify/tiny", "classify/tiny:lr=1e-3", "--varies", "lr", "--seeds", "1"),
        *("--metric", "val_top1", "--margin", "0.1", "--set", f"data={data}", "--set", "epochs=1"),
        *("--device", "cpu", "--predictions", str(file), "--out", str(tmp_path / "c")),
    ]
    assert cli.main([*line, "--json", "--record", str(tmp_path / "record")]) == 0
    verdict: dict[str, Any] = json.loads(capsys.readouterr().out)
    found = verdict["fixed"]
    assert found["data"] == "objects val"
    assert found["arms"]["theirs"]["score"] == 1.0
    assert [pair["difference"] for pair in found["pairs"]] == pytest.approx(
        [1 - verdict["arms"][arm]["mean"] for arm in ("tiny", "tiny-lr-1e-3")]
    )
    page = (tmp_path / "record" / "README.md").read_text()
    assert "**theirs** against **tiny**: +" in page
    assert str(tmp_path) not in "".join(
        path.read_text() for path in (tmp_path / "record").iterdir()
    )
    assert cli.main([*line, "--status"]) == 0
    assert "theirs against tiny: +" in capsys.readouterr().out
    assert cli.main(["audit", str(tmp_path / "c")]) == 0
    assert "theirs: what they were trained on" in capsys.readouterr().out
    # Predictions for other images: one line, and what was known stays.
    before = (tmp_path / "c" / "verdict.json").read_bytes()
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert cli.main(line) == 2
    assert "has no scores for" in capsys.readouterr().err
    assert (tmp_path / "c" / "verdict.json").read_bytes() == before
