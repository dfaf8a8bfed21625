"""Frames in files: a look at one says what loading it would say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.folder import LabelFolder
from triptych.data.frames import FrameFiles, picture_shape, read_picture
from triptych.data.labelled import Checkable
from triptych.data.streets import Streets
from triptych.errors import UserError


@pytest.fixture
def frames(tmp_path: Path) -> FrameFiles:
    for place in ("images", "labels"):
        (tmp_path / place).mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(np.full((20, 30), 3, np.uint8)).save(tmp_path / "labels" / "a.png")
    return LabelFolder(tmp_path).open("all")


def test_a_sound_frame_has_its_size(frames: FrameFiles) -> None:
    assert isinstance(frames, Checkable)
    assert frames.check(0) == (20, 30) == frames.load(0)[1].shape


def save(path: Path, pixels: object, **options: object) -> None:
    Image.fromarray(np.array(pixels)).save(path, **options)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: save(frame.label, np.full((20, 30), 19, np.uint8)),
        lambda frame: save(frame.label, np.zeros((30, 20), np.uint8)),
        lambda frame: save(frame.label, np.zeros((20, 30, 3), np.uint8)),
        lambda frame: save(frame.picture, np.zeros((20, 31, 3), np.uint8)),
        lambda frame: frame.label.write_bytes(frame.label.read_bytes()[:40]),
        lambda frame: frame.picture.write_bytes(b"no picture"),
        lambda frame: frame.picture.unlink(),
    ],
)
def test_what_loading_refuses_is_refused_with_the_same_line(
    frames: FrameFiles, spoil: Callable[[object], None]
) -> None:
    spoil(frames.frames[0])
    lines = []
    for look in (frames.load, frames.check):
        with pytest.raises(UserError) as refused:
            look(0)
        lines.append(str(refused.value))
    assert lines[0] == lines[1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_header_says_how_a_picture_lies(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png"):
        save(tmp_path / name, np.zeros((20, 30, 3), np.uint8), exif=exif)
        assert picture_shape(tmp_path / name) == read_picture(tmp_path / name).shape[:2]


def test_streets_have_one_size() -> None:
    data = Streets(scenes=1, frames_per_scene=1, size=(48, 64))
    assert data.check(0) == data.load(0)[1].shape
