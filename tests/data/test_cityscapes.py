"""Cityscapes as the devkit unpacks it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.cityscapes import LABEL_IDS, Cityscapes
from triptych.data.classes import CITYSCAPES
from triptych.errors import UserError

STEM = "frankfurt_000000_000294"


def make(root: Path, labels: np.ndarray, kind: str = "labelIds") -> Path:
    picture = root / "leftImg8bit" / "val" / "frankfurt" / f"{STEM}_leftImg8bit.png"
    label = root / "gtFine" / "val" / "frankfurt" / f"{STEM}_gtFine_{kind}.png"
    for path, pixels in ((picture, np.zeros((*labels.shape, 3))), (label, labels)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    # The devkit has these beside the ids; they are no frames.
    Image.new("RGB", (2, 2)).save(label.with_name(f"{STEM}_gtFine_color.png"))
    label.with_name(f"{STEM}_gtFine_polygons.json").write_text("{}")
    return root


def test_label_ids(tmp_path: Path) -> None:
    data = Cityscapes(make(tmp_path, np.array([[7, 33, 26, 24], [0, 4, 30, 255]]))).open("val")
    assert list(data.keys) == [f"{STEM}_leftImg8bit"]
    assert list(data.groups) == ["frankfurt"]
    names = [CITYSCAPES.names[value] for value in data.load(0)[1][0]]
    assert names == ["road", "bicycle", "car", "person"]
    assert data.load(0)[1][1].tolist() == [255] * 4


def test_every_label_id_has_a_meaning() -> None:
    assert sorted(LABEL_IDS.ids) == [*range(34), 255]
    assert sorted(v for v in LABEL_IDS.ids.values() if v != 255) == list(range(19))


def test_train_ids(tmp_path: Path) -> None:
    root = make(tmp_path, np.array([[0, 18, 255]]), "labelTrainIds")
    assert Cityscapes(root).open("val").load(0)[1].tolist() == [[0, 18, 255]]
    make(root, np.array([[0, 19, 255]]), "labelTrainIds")
    with pytest.raises(UserError, match="id 19 is not a class"):
        Cityscapes(root).open("val").load(0)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not Cityscapes"):
        Cityscapes(tmp_path)
    root = make(tmp_path, np.array([[7]]))
    with pytest.raises(UserError, match=r"leftImg8bit/train: no split 'train' here.*: val$"):
        Cityscapes(root).open("train")
    (root / "gtFine" / "val" / "frankfurt" / f"{STEM}_gtFine_labelIds.png").unlink()
    with pytest.raises(UserError, match="no partner"):
        Cityscapes(root).open("val")
