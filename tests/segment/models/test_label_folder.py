"""A folder of label images as a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.classes import CAMVID, CITYSCAPES, VOID, ClassSet
from triptych.data.frames import FrameFiles, LabelCode
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
    folder = LabelFolder(tmp_path)
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


@pytest.mark.parametrize("stems", [("a", "b", "c"), ("b", "a", "c")])
def test_a_position_never_stands_in_for_a_missing_name(
    tmp_path: Path, stems: tuple[str, ...]
) -> None:
    for name in ("a", "c", "d"):
        write(tmp_path / f"{name}.png", 1)
    folder = LabelFolder(tmp_path)

    def read_all() -> None:
        for index, stem in enumerate(stems):
            read(folder, stem, index)

    with pytest.raises(UserError, match=r"no label image for frame \d \(b\), while other frames"):
        read_all()


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


class Data:
    """Frames of which only the keys and classes matter."""

    name, split = "made", "val"

    def __init__(self, keys: Sequence[str], classes: ClassSet = CITYSCAPES) -> None:
        self.keys, self.groups, self.classes = keys, ["drive"] * len(keys), classes

    def __len__(self) -> int:
        return len(self.keys)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError

    def fingerprint(self) -> str:
        return "f" * 64


def on_data(folder: Path, *keys: str) -> list[int]:
    """The label that each of the frames gets."""
    bound = LabelFolder(folder).for_data(Data(keys))
    return [int(read(bound, key, index)[0, 0]) for index, key in enumerate(keys)]


def test_positions_are_taken_where_no_name_matches_and_the_counts_are_equal(tmp_path: Path) -> None:
    for index in (1, 2, 10):
        write(tmp_path / f"out{index}.png", index)
    assert on_data(tmp_path, "f1", "f10", "f2") == [1, 10, 2]
    for keys in (("f1", "f2"), ("f1", "f2", "f3", "f4")):
        wanted = rf"no label image for frame 0 \(f1\): .* 3 files .* {len(keys)} frames"
        with pytest.raises(UserError, match=wanted):
            on_data(tmp_path, *keys)


def test_a_frame_without_a_label_image_is_named(tmp_path: Path) -> None:
    for name in ("a", "c", "d"):
        write(tmp_path / f"{name}.png", 1)
    with pytest.raises(UserError, match=r"frame 1 \(b\), but 2 of 3 frames have one of their name"):
        on_data(tmp_path, "a", "b", "c")


def test_equal_stems_of_two_drives_are_two_files(tmp_path: Path) -> None:
    write(tmp_path / "A" / "0.png", 3)
    write(tmp_path / "B" / "0.png", 4)
    assert on_data(tmp_path, "A/0", "B/0") == [3, 4]
    with pytest.raises(UserError, match=r"frame 0 \(0\): there are 2 files 0\.png"):
        on_data(tmp_path, "0")
    (tmp_path / "B" / "0.png").unlink()
    with pytest.raises(UserError, match=r"frame 1 \(B/0\), but 1 of 2"):
        on_data(tmp_path, "A/0", "B/0")
    with pytest.raises(UserError, match=r"frame 0 \(B/0\)"):
        on_data(tmp_path, "B/0")


def test_folders_do_not_count_where_only_one_side_has_them(tmp_path: Path) -> None:
    write(tmp_path / "flat" / "a_1.png", 3)
    write(tmp_path / "deep" / "aachen" / "a_1.png", 4)
    assert on_data(tmp_path / "flat", "aachen/a_1") == [3]
    assert on_data(tmp_path / "deep", "a_1") == [4]
    assert on_data(tmp_path, "aachen/a_1") == [4]
    with pytest.raises(UserError, match=r"frame 0 \(A/a_1\): a_1\.png may be that of another"):
        on_data(tmp_path / "flat", "A/a_1", "B/a_1")


def classes_on(folder: Path, data: Data | FrameFiles) -> ClassSet:
    return LabelFolder(folder).for_data(data).classes


def test_without_a_record_ids_are_the_classes_of_the_data_where_they_may_be(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 10)
    write(tmp_path / "b.png", 11)
    write(tmp_path / "c.png", 255)
    assert classes_on(tmp_path, Data("abc", CAMVID)) is CAMVID
    assert LabelFolder(tmp_path).for_data(Data("abc", CAMVID), False).classes is CITYSCAPES
    bound = LabelFolder(tmp_path).for_data(Data("abc", CAMVID))
    assert [read(bound, key)[0, 0] for key in "abc"] == [10, VOID, VOID]
    own = ClassSet("mine", tuple("abcdefghijkl"), ((0, 0, 0),) * 12)
    assert classes_on(tmp_path, Data("abc", own)) is own


def test_ids_beyond_camvid_are_cityscapes(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 0)
    write(tmp_path / "b.png", 13)
    write(tmp_path / "other.png", 99)  # of no frame
    assert classes_on(tmp_path, Data("ab", CAMVID)) is CITYSCAPES
    assert classes_on(tmp_path, Data("a", CAMVID)) is CAMVID
    own = ClassSet("mine", ("a", "b"), ((0, 0, 0),) * 2)
    with pytest.raises(UserError, match=r"b\.png: id 13 is no class of the data \(made: mine, 0"):
        classes_on(tmp_path, Data("ab", own))


@pytest.mark.parametrize("value", [12, 20, 31])
def test_ids_that_may_be_anything_ask_for_a_record(tmp_path: Path, value: int) -> None:
    write(tmp_path / "a.png", value)
    with pytest.raises(UserError, match=r"a\.png: id \d+ .*name the classes of .*classes\.json"):
        classes_on(tmp_path, Data("a", CAMVID))


def test_data_that_numbers_its_classes_with_gaps_asks_for_a_record(tmp_path: Path) -> None:
    write(tmp_path / "a.png", 1)
    two = ClassSet("mine", ("a", "b"), ((0, 0, 0),) * 2)
    for ids, clear in (({0: 0, 1: 1, 9: VOID}, True), ({0: VOID, 1: 0, 2: 1}, False), ({}, True)):
        data = FrameFiles("folder", "val", two, LabelCode(ids), ())
        data.keys = ("a",)
        if clear:
            assert classes_on(tmp_path, data) is two
        else:
            with pytest.raises(UserError, match=r"numbers its classes .*classes\.json"):
                classes_on(tmp_path, data)
