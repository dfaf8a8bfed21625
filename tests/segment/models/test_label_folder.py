"""A folder of label images as a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.classes import CAMVID, CITYSCAPES, VOID
from triptych.errors import UserError
from triptych.segment.labeller import FrameKey
from triptych.segment.models.label_folder import LabelFolder

PICTURES = np.zeros((1, 4, 6, 3), np.uint8)


def write(path: Path, value: int, size: tuple[int, int] = (4, 6), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, np.uint8)).convert(mode).save(path)


def read(folder: LabelFolder, stem: str, index: int = 0, **more: tuple[int, int]) -> np.ndarray:
    return folder.labels(PICTURES, [FrameKey(stem, index)], **more)[0]


def test_frames_are_found_by_name_then_by_natural_position(tmp_path: Path) -> None:
    for index in (1, 2, 10):
        write(tmp_path / f"frame{index}.png", index)
    folder = LabelFolder(tmp_path)
    assert folder.classes is CITYSCAPES
    assert read(folder, "frame10", 0).tolist() == [[10] * 6] * 4
    assert [read(folder, "clip", index)[0, 0] for index in range(3)] == [1, 2, 10]
    with pytest.raises(UserError, match=r"no label image for frame 3 \(clip\), there are 3"):
        read(folder, "clip", 3)


def test_sub_folders_are_searched_by_name_only(tmp_path: Path) -> None:
    write(tmp_path / "aachen" / "a_1.png", 3)
    write(tmp_path / "a_2.png", 4)
    folder = LabelFolder(tmp_path)
    assert read(folder, "aachen/a_1")[0, 0] == 3
    assert read(folder, "bremen/a_2")[0, 0] == 4
    with pytest.raises(UserError, match="no label image for frame 0"):
        read(folder, "clip", 0)


def test_a_batch_is_stacked(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / f"{index}.png", index)
    got = LabelFolder(tmp_path).labels(PICTURES.repeat(2, 0), [FrameKey("2", 0), FrameKey("0", 1)])
    assert got.shape == (2, 4, 6)
    assert got[:, 0, 0].tolist() == [2, 0]
    assert got.dtype == np.uint8


def test_void_is_255_or_the_id_after_the_last_class(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 255)
    write(tmp_path / "b.png", 11)
    folder = LabelFolder(tmp_path, CAMVID)
    assert (read(folder, "a") == VOID).all()
    assert (read(folder, "b") == VOID).all()


def test_palette_images_are_read_as_ids(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((4, 6), 13, np.uint8))
    image.putpalette([200] * 768)
    image.save(tmp_path / "a.png")
    assert (read(LabelFolder(tmp_path), "a") == 13).all()


def test_another_size_needs_to_be_asked_for(tmp_path: Path) -> None:
    columns = np.arange(6, dtype=np.uint8)[None].repeat(4, 0)
    Image.fromarray(columns).save(tmp_path / "a.png")
    write(tmp_path / "b.png", 1, (8, 8))
    folder = LabelFolder(tmp_path)
    assert read(folder, "a", size=(2, 3)).tolist() == [[1, 3, 5]] * 2
    assert read(folder, "b", size=(8, 8)).shape == (8, 8)
    with pytest.raises(UserError, match=r"b\.png: 8x8, but the frame is 6x4"):
        read(folder, "b")


def test_what_is_no_label_image_is_named(tmp_path: Path) -> None:
    write(tmp_path / "colour.png", 1, mode="RGB")
    write(tmp_path / "high.png", 33)
    (tmp_path / "text.png").write_text("not a picture")
    folder = LabelFolder(tmp_path)
    with pytest.raises(UserError, match=r"colour\.png: colour-coded \(RGB\)"):
        read(folder, "colour")
    with pytest.raises(UserError, match=r"high\.png: id 33 is no class of cityscapes19"):
        read(folder, "high")
    with pytest.raises(UserError, match=r"text\.png: cannot be read"):
        read(folder, "text")


def test_a_folder_without_label_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("")
    with pytest.raises(UserError, match="holds no label images"):
        LabelFolder(tmp_path)


def test_a_folder_may_say_its_classes(tmp_path: Path) -> None:
    from triptych.data.class_record import write_classes

    write(tmp_path / "a.png", 11)
    write_classes(tmp_path, CAMVID)
    folder = LabelFolder(tmp_path)
    assert folder.classes == CAMVID
    assert (read(folder, "a") == VOID).all()


@pytest.mark.parametrize(
    "record",
    ["{", "[]", '{"name": "x"}', '{"name": "x", "names": ["a", "b"], "colours": [[0, 0, 0]]}'],
)
def test_broken_classes_are_refused_in_one_line(tmp_path: Path, record: str) -> None:
    write(tmp_path / "a.png", 0)
    (tmp_path / "classes.json").write_text(record)
    with pytest.raises(UserError, match=r"classes\.json") as refused:
        LabelFolder(tmp_path)
    assert "\n" not in str(refused.value)
