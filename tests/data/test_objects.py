"""Procedural objects: classes alike, splits of their own, drawn once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from triptych.data import streets
from triptych.data.objects import objects
from triptych.errors import UserError

SMALL = {"train": 20, "val": 10, "test": 10}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def test_classes_alike_and_no_picture_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    train, val, test = (objects(split, **SMALL) for split in ("train", "val", "test"))
    assert train.pixels.shape == (20, 3, 32, 32)
    assert train.classes == streets.OBJECTS
    assert np.bincount(train.labels).tolist() == [2] * 10
    assert np.bincount(val.labels).tolist() == [1] * 10
    pictures = {p.tobytes() for images in (train, val, test) for p in images.pixels}
    assert len(pictures) == 40
    monkeypatch.setattr(streets, "object_crops", lambda *_: pytest.fail("drawn again"))
    assert objects("train", **SMALL).fingerprint() == train.fingerprint()
    with pytest.raises(pytest.fail.Exception):
        objects("train", **SMALL, seed=1)


def test_every_part_of_every_split_has_scenes_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def crops(count: int, seed: int, size: int) -> tuple[object, object, object]:
        seeds.append(seed)
        return np.zeros((count, size, size, 3), np.uint8), np.zeros(count, np.int64), ("a",)

    monkeypatch.setattr(streets, "object_crops", crops)
    for seed in (0, 1):
        for split in SMALL:
            images = objects(split, train=450, val=450, test=450, size=8, seed=seed)
            assert images.pixels.shape == (450, 3, 8, 8)
    assert len(seeds) == len(set(seeds)) == 2 * 3 * 3


@pytest.mark.parametrize("wrong", [{"train": 0}, {"size": 4}, {"size": 1000}, {"seed": 1 << 20}])
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="objects: train must be 1 to"):
        objects("train", **wrong)
