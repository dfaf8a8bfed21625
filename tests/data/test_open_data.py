"""Data specifications, as they are written on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.data.open_data import open_data, streets_options
from triptych.errors import UserError


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("camvod:/data", r"did you mean camvid\?"),
        ("/data/CamVid", "unknown kind of data"),
        ("", "unknown kind of data"),
        ("labeled:a,b", r"did you mean labelled\?.*labelled:PICTURES,LABELS, streets\)"),
        ("camvid", "camvid needs its folder, as in camvid:DIR"),
        ("folder:", "folder needs its folder"),
        ("camvid:/no/such/place", "/no/such/place: no such folder"),
        ("streets:scene=3", r"no option 'scene'; did you mean scenes\?"),
        ("streets:scenes=many", "scenes must be a whole number, not 'many'"),
        ("streets:size=96", "size must be WIDTHxHEIGHT, not '96'"),
    ],
)
def test_mistakes(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        open_data(spec)


def test_streets_options() -> None:
    assert streets_options("streets") == {}
    assert streets_options("streets:scenes=8,frames=6,size=192x96,seed=3") == {
        "scenes": 8,
        "frames_per_scene": 6,
        "size": (96, 192),
        "seed": 3,
    }


def test_streets() -> None:
    data = open_data("streets:scenes=2,frames=3,size=96x48", "val")
    assert len(data) == 6
    picture, labels = data.load(5)
    assert picture.shape == (48, 96, 3)
    assert labels.shape == (48, 96)


def test_val_is_the_default_split(shared: Path) -> None:
    data = open_data(f"camvid:{shared / 'data' / 'CamVid'}")
    assert (data.name, data.split, len(data)) == ("camvid", "val", 101)
