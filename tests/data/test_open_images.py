"""Specifications: what they open, and one clear line where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from triptych.data import open_images as module
from triptych.data.open_images import open_images
from triptych.errors import UserError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """What the data sets are asked for."""
    asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    for name in ("cifar100", "image_folder", "objects"):
        monkeypatch.setattr(
            module, name, lambda *args, _name=name, **kwargs: asked.append((_name, args, kwargs))
        )
    return asked


def test_specifications_reach_their_data_sets(calls: list[Any], tmp_path: Path) -> None:
    open_images("cifar100", "val")
    open_images("cifar100:~/data", "test", val_images=100, split_seed=3)
    open_images("folder:some/where", "train")
    open_images("folder:some/where,size=48", "val", val_images=5)
    open_images("folder:a,b,size=48", "val")
    (tmp_path / "odd,size=x").mkdir()
    open_images(f"folder:{tmp_path}/odd,size=x", "val")
    open_images("objects", "test")
    open_images("objects:train=30,seed=2", "val", val_images=7)
    assert calls == [
        ("cifar100", (None, "val"), {"val_images": None, "split_seed": 0}),
        ("cifar100", (Path.home() / "data", "test"), {"val_images": 100, "split_seed": 3}),
        (
            "image_folder",
            (Path("some/where"), "train"),
            {"size": None, "val_images": None, "split_seed": 0},
        ),
        (
            "image_folder",
            (Path("some/where"), "val"),
            {"size": 48, "val_images": 5, "split_seed": 0},
        ),
        ("image_folder", (Path("a,b"), "val"), {"size": 48, "val_images": None, "split_seed": 0}),
        (
            "image_folder",
            (tmp_path / "odd,size=x", "val"),
            {"size": None, "val_images": None, "split_seed": 0},
        ),
        ("objects", ("test",), {}),
        ("objects", ("val",), {"train": 30, "seed": 2, "val": 7}),
    ]


@pytest.mark.parametrize(
    ("spec", "split", "message"),
    [
        ("cifar10:x", "val", "unknown kind of data; did you mean cifar100"),
        ("CIFAR100", "val", "unknown kind of data; did you mean cifar100"),
        ("voc:x", "val", r"unknown kind of data \(there are cifar100\[:DIR\], folder:DIR"),
        ("", "val", "unknown kind of data"),
        ("objects", "valid", "no split 'valid'; did you mean val"),
        ("objects:trian=3", "val", "no option 'trian'; did you mean train"),
        ("objects:train=many", "val", "train must be a whole number, not 'many'"),
        ("objects:train=-3", "val", "train must be a whole number, not '-3'"),
        ("objects:train", "val", "train must be a whole number, not ''"),
        ("objects:", "val", "fine"),
        ("folder", "val", "folder needs its folder"),
        ("folder:,size=3", "val", "folder needs its folder"),
        ("folder:x,sise=3", "val", "no option 'sise'; did you mean size"),
        ("folder:gone", "val", "gone: no such folder"),
        ("cifar100:gone", "val", "gone: no such folder"),
    ],
)
def test_mistakes_are_one_clear_line(
    spec: str, split: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if message == "fine":
        monkeypatch.setattr(module, "objects", lambda split: split)
        assert open_images(spec, split) == "val"
        return
    with pytest.raises(UserError, match=message) as error:
        open_images(spec, split)
    assert "\n" not in str(error.value)


def test_no_validation_pictures_are_refused() -> None:
    with pytest.raises(UserError, match="at least one validation picture"):
        open_images("objects", "val", val_images=0)


def test_a_folder_of_ones_own_from_end_to_end(tmp_path: Path) -> None:
    for name, level in (("dark", 20), ("light", 220)):
        (tmp_path / name).mkdir()
        for number in range(10):
            picture = np.full((20 + number, 30, 3), level, np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{number}.jpg")
    images = open_images(f"folder:{tmp_path},size=16", "train", val_images=4)
    assert images.pixels.shape == (14, 3, 16, 16)
    bright = images.pixels.mean((1, 2, 3)) > 128
    assert np.array_equal(bright, images.labels == images.classes.index("light"))
