"""Folders of one's own: every layout, every mistake that people make with them."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from triptych.data import image_folder as module
from triptych.data.image_folder import image_folder
from triptych.errors import UserError

SPLITS = ("train", "val", "test")


def fill(folder: Path, counts: dict[str, int], size: tuple[int, int] = (8, 12)) -> Path:
    """Folders a class, pictures of (height, width) of which no two are alike."""
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            rng = np.random.default_rng(crc32(f"{folder.name} {name} {number}".encode()))
            picture = rng.integers(0, 256, (*size, 3), np.uint8)
            Image.fromarray(picture).save(folder / name / f"{number:03d}.png")
    return folder


def test_three_splits_as_they_are(tmp_path: Path) -> None:
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        fill(tmp_path / split, {"dog": count, "cat": count})
    for split, count in (("train", 5), ("val", 2), ("test", 3)):
        images = image_folder(tmp_path, split)
        assert images.pixels.shape == (2 * count, 3, 8, 12)
        assert images.pixels.flags.c_contiguous
        assert images.classes == ("cat", "dog")
        assert images.labels.tolist() == [0] * count + [1] * count
        for key, pixels, label in zip(images.keys, images.pixels, images.labels, strict=True):
            with Image.open(tmp_path / key) as picture:
                assert np.array_equal(np.asarray(picture).transpose(2, 0, 1), pixels)
            assert key.split("/")[:2] == [split, images.classes[label]]


def test_val_and_test_are_drawn_a_tenth_each(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 40, "dog": 20, "eel": 3})
    parts = {split: image_folder(tmp_path, split) for split in SPLITS}
    assert [len(parts[split]) for split in SPLITS] == [51, 6, 6]
    keys = [key for images in parts.values() for key in images.keys]
    assert len(set(keys)) == len(keys) == 63
    for split in ("val", "test"):
        assert set(parts[split].labels) == {0, 1, 2}
    again = image_folder(tmp_path, "val")
    assert again.keys == parts["val"].keys
    assert image_folder(tmp_path, "val", split_seed=1).keys != again.keys


def test_the_number_of_validation_pictures_can_be_set(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 30, "dog": 30})
    assert len(image_folder(tmp_path, "val", val_images=20)) == 20
    assert len(image_folder(tmp_path, "train", val_images=20)) == 34
    usual, fewer = (image_folder(tmp_path, "test", val_images=n) for n in (None, 2))
    assert usual.keys == fewer.keys


@pytest.mark.parametrize("missing", ["val", "test"])
def test_one_missing_split_is_drawn_from_train(tmp_path: Path, missing: str) -> None:
    there = "test" if missing == "val" else "val"
    fill(tmp_path / "train", {"cat": 20, "dog": 20})
    fill(tmp_path / there, {"cat": 2, "dog": 2})
    assert len(image_folder(tmp_path, there)) == 4
    drawn, rest = image_folder(tmp_path, missing), image_folder(tmp_path, "train")
    assert (len(drawn), len(rest)) == (4, 36)
    assert all(key.startswith("train/") for key in (*drawn.keys, *rest.keys))
    assert not set(drawn.keys) & set(rest.keys)


def test_several_sizes_need_a_size(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 10, "dog": 10})
    fill(tmp_path, {"eel": 10}, size=(20, 10))
    with pytest.raises(UserError, match=r"eel/000\.png: 10x20, but .*is 12x8; add ,size=64"):
        image_folder(tmp_path, "train")
    assert image_folder(tmp_path, "train", size=8).size == (8, 8)
    with pytest.raises(UserError, match="size must be 8 to 2048, not 4"):
        image_folder(tmp_path, "train", size=4)


def test_a_turned_picture_counts_as_it_is_seen(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 10, "dog": 10}, size=(8, 12))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 12)).save(tmp_path / "cat" / "turned.jpg", exif=exif)
    assert image_folder(tmp_path, "train").size == (8, 12)


def test_what_is_no_picture_is_passed_over_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path, {"cat": 10, "dog": 10})
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "dog" / "Thumbs.db").write_text("x")
    (tmp_path / "README.md").write_text("x")
    for hidden in (".DS_Store", "._000.png"):
        (tmp_path / "cat" / hidden).write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__MACOSX" / "cat").mkdir(parents=True)
    images = image_folder(tmp_path, "train")
    assert len(images) == 16
    assert images.classes == ("cat", "dog")
    assert len(caplog.records) == 1
    assert "and 2 more" in caplog.text


def test_endings_of_any_case_and_sub_folders_count(tmp_path: Path) -> None:
    fill(tmp_path, {"cat": 5, "dog": 5})
    (tmp_path / "cat" / "more").mkdir()
    (tmp_path / "cat" / "004.png").rename(tmp_path / "cat" / "more" / "A.PNG")
    keys = [key for split in SPLITS for key in image_folder(tmp_path, split).keys]
    assert len(keys) == 10
    assert "cat/more/A.PNG" in keys


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"cat": 5, "dog": 5})
    fill(tmp_path / "val", {"cat": 1, "dog": 1})
    fill(tmp_path / "test", {"cat": 1, "dog": 1})
    path = tmp_path / "train" / "dog" / "003.png"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"train/dog/003\.png: cannot be read"):
        image_folder(tmp_path, "train")
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=r"train/dog/003\.png: is no PNG"):
        image_folder(tmp_path, "val")


def test_classes_must_be_the_same_in_all_splits(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"cat": 5, "dog": 5})
    fill(tmp_path / "val", {"cat": 2, "eel": 2})
    with pytest.raises(UserError, match=r"train: has no class eel"):
        image_folder(tmp_path, "train")


def test_layouts_that_are_none_are_refused(tmp_path: Path) -> None:
    def refused(name: str, message: str) -> None:
        with pytest.raises(UserError, match=message):
            image_folder(tmp_path / name, "train")

    refused("gone", "gone: no such folder")
    fill(tmp_path / "one", {"cat": 5})
    refused("one", "two or more classes, found 1")
    (tmp_path / "none").mkdir()
    refused("none", "two or more classes, found 0")
    fill(tmp_path / "empty", {"cat": 5, "dog": 0})
    refused("empty", "dog: class without a picture")
    fill(tmp_path / "untrained" / "test", {"cat": 5, "dog": 5})
    refused("untrained", "has test but no train")
    fill(tmp_path / "odd" / "train", {"cat": 5, "dog": 5})
    fill(tmp_path / "odd" / "valid", {"cat": 5, "dog": 5})
    refused("odd", r"valid: none of train, val, test; rename")
    fill(tmp_path / "flat", {"train": 5, "test": 2})
    refused("flat", "train: needs a sub-folder for each class")
    fill(tmp_path / "few", {"cat": 20, "dog": 2})
    refused("few", "no picture of class dog is left to train on")


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path, {"bus": 5, "train": 5})
    assert image_folder(tmp_path, "train").classes == ("bus", "train")


def test_more_than_memory_holds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"cat": 5, "dog": 5})
    monkeypatch.setattr(module, "_MEMORY_SHARE", 1e-9)
    with pytest.raises(UserError, match="add ,size=64 to make them smaller"):
        image_folder(tmp_path, "train")
