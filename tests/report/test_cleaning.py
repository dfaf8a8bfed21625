"""What a published record must not tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triptych.data.without_place import data_name
from triptych.report.cleaning import clean, runtime, without_paths

FOLDER = Path("/data/ann/runs/secret")


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("cifar100", "cifar100"),
        ("cifar100:../data/x", "cifar100"),
        ("folder:/home/ann/a,b/c,size=64", "folder:size=64"),
        ("objects:train=200,val=50", "objects:train=200,val=50"),
        ("streets:scenes=64,size=192x96", "streets:scenes=64,size=192x96"),
        ("camvid:~/CamVid", "camvid"),
    ],
)
def test_data(spec: str, name: str) -> None:
    assert data_name(spec) == name
    assert clean({"data": spec, "val_data": spec}, FOLDER) == {"data": name, "val_data": name}


def test_data_in_which_arms_differ_keep_their_names() -> None:
    differs = {"data": ["folder:/home/ann/small,size=64", "folder:/home/ann/large,size=64"]}
    assert clean(differs, FOLDER, name_data=True) == {
        "data": ["folder:small,size=64", "folder:large,size=64"]
    }


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("cannot write /home/ann/x/y.bin", "cannot write y.bin"),
        ("at /data/ann/runs/secret: full", "at COMPARISON: full"),
        ("/data/ann/runs/secret/a/seed-0 broke", "COMPARISON/a/seed-0 broke"),
        ("see '../up/there' or ~/mine/x, (/a/b)", "see 'there' or x, (b)"),
        ("file:///home/ann/x", "x"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("classify/tiny at 5 images/s, 1/2, either/or", None),
        ("±0.02 / 3", None),
    ],
)
def test_texts(text: str, cleaned: str | None) -> None:
    assert without_paths(text, FOLDER) == (text if cleaned is None else cleaned)


@pytest.mark.parametrize(
    ("folder", "text", "cleaned"),
    [
        ("tiny", "tiny or tiny-model-vit-tiny?", None),
        ("tiny", "needs tiny/1.4", None),
        ("classify/tiny", "classify/tiny", None),
        ("runs/c", "runs/c/a/seed-0 broke", "COMPARISON/a/seed-0 broke"),
        ("runs/c", "cannot write 'runs/c'", "cannot write 'COMPARISON'"),
        ("runs/c", "runs/c2, my-runs/c and old/runs/c", None),
        ("tiny", "{}/tiny/a/seed-0 broke", "COMPARISON/a/seed-0 broke"),
    ],
)
def test_a_folder_that_is_named_like_a_word_is_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    text: str,
    cleaned: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    expected = text if cleaned is None else cleaned
    assert without_paths(text.format(tmp_path), Path(folder)) == expected


def test_a_home_with_a_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann lee")
    assert without_paths("cannot read /home/ann lee/x/y", FOLDER) == "cannot read y"


def test_fixed_arms() -> None:
    arm: dict[str, Any] = {"source": "/home/ann/masks", "weights": "w/x.pth", "size": [4, 5]}
    assert clean(arm, FOLDER) == {"source": "masks", "weights": "x.pth", "size": [4, 5]}


def test_runtime() -> None:
    record: dict[str, Any] = {
        "command": ["/home/ann/t"],
        "host": "annbox",
        "device": "cpu",
        "versions": {"torch": "2"},
        "commit": "abc-dirty",
    }
    kept = {"device": "cpu", "versions": {"torch": "2"}}
    assert runtime(record) == kept
    assert clean({"runtime": record}, FOLDER) == {"runtime": kept}
    assert runtime(record | {"commit": "abc"}) == kept | {"commit": "abc"}
    # An arm may be called so.
    assert clean({"runtime": {"mean": 0.5}}, FOLDER) == {"runtime": {"mean": 0.5}}
