"""Arrays kept in the cache: read back equal, never trusted when damaged."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from triptych.data.image_cache import cached
from triptych.data.labelled_images import LabelledImages


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> LabelledImages:
        self.calls += 1
        pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), np.uint8)
        return LabelledImages(
            "made", "val", pixels, np.arange(5), ("größe", "b"), ("k1", "k2", "k3", "k4", "é")
        )


def test_the_second_time_nothing_is_made(cache: Path) -> None:
    make = Maker()
    first, second = (cached("made", "x", make) for _ in range(2))
    assert make.calls == 1
    assert second.fingerprint() == first.fingerprint()
    assert (second.name, second.split, second.keys) == (first.name, first.split, first.keys)
    assert second.labels.dtype == np.int64
    assert second.pixels.flags.writeable
    cached("made", "y", make)
    assert make.calls == 2


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "other"])
def test_a_damaged_file_is_made_anew(
    cache: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    make = Maker()
    whole = cached("made", "x", make)
    [path] = (cache / "images").iterdir()
    content = bytearray(path.read_bytes())
    at = bytes(content).index(whole.pixels.tobytes()) + 100
    if damage == "cut":
        content = content[:at]
    elif damage == "bit":
        content[at] ^= 4
    elif damage == "empty":
        content.clear()
    else:
        content[:] = b"no archive at all"
    path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        again = cached("made", "x", make)
    assert make.calls == 2
    assert str(path) in caplog.text
    assert again.fingerprint() == whole.fingerprint()
    cached("made", "x", make)
    assert make.calls == 2
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_cache_that_cannot_be_written_is_done_without(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        assert len(cached("made", "x", Maker())) == 5
    assert "nothing is kept" in caplog.text


def test_objects_are_never_unpickled(cache: Path) -> None:
    make = Maker()
    cached("made", "x", make)
    [path] = (cache / "images").iterdir()
    with path.open("wb") as file:
        np.savez(file, name=np.array([object()], dtype=object))
    cached("made", "x", make)
    assert make.calls == 2
