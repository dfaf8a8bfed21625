"""Data sets of one's own: layouts and `classes.toml`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.class_record import write_classes
from triptych.data.classes import CAMVID, CITYSCAPES, ClassSet
from triptych.data.folder import LabelFolder, read_classes
from triptych.errors import UserError


def put(path: Path, pixels: list[list[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


def frame(images: Path, labels: Path, key: str, values: list[list[object]]) -> None:
    put(images / f"{key}.jpg", [[(9, 9, 9)] * len(values[0])] * len(values))
    put(labels / f"{key}.png", values)


@pytest.mark.parametrize("place", ["{what}/{split}", "{split}/{what}"])
def test_split_layouts(tmp_path: Path, place: str) -> None:
    for split in ("train", "val"):
        images, labels = (
            tmp_path / place.format(what=w, split=split) for w in ("images", "labels")
        )
        frame(images, labels, f"town/{split}_7", [[0, 18, 255]])
    folder = LabelFolder(tmp_path)
    assert folder.splits() == ["train", "val"]
    data = folder.open("val")
    assert (list(data.keys), list(data.groups)) == (["town/val_7"], ["town"])
    assert data.frames[0].number == 7
    assert data.load(0)[1].tolist() == [[0, 18, 255]]
    assert data.classes == CITYSCAPES
    with pytest.raises(UserError, match="no split 'test' here; there are: train, val"):
        folder.open("test")


def test_without_splits_there_is_nothing_to_train_on(tmp_path: Path) -> None:
    frame(tmp_path / "images", tmp_path / "labels", "a", [[1]])
    folder = LabelFolder(tmp_path)
    assert folder.splits() == ["all"]
    assert list(folder.open("val").keys) == list(folder.open("all").keys) == ["a"]
    with pytest.raises(UserError, match="no split 'train' here; there are: all"):
        folder.open("train")


CLASSES = """
[[class]]
id = 4
name = "lane"
colour = [10, 0, 0]
[[class]]
id = 2
name = "other"
colour = [0, 10, 0]
[[class]]
id = 9
name = "bonnet"
colour = [0, 0, 10]
void = true
"""


def test_classes_by_id_and_by_colour(tmp_path: Path) -> None:
    (tmp_path / "classes.toml").write_text(CLASSES)
    frame(tmp_path / "images", tmp_path / "labels", "a", [[4, 2, 9, 255]])
    frame(tmp_path / "images", tmp_path / "labels", "b", [[(10, 0, 0), (0, 10, 0), (0, 0, 10)]])
    data = LabelFolder(tmp_path).open("all")
    assert data.classes.names == ("other", "lane")
    assert data.classes.colours == ((0, 10, 0), (10, 0, 0))
    assert data.load(0)[1].tolist() == [[1, 0, 255, 255]]
    assert data.load(1)[1].tolist() == [[1, 0, 255]]


def test_16_bit_and_palette_labels(tmp_path: Path) -> None:
    (tmp_path / "classes.toml").write_text('[[class]]\nid=300\nname="a"\n[[class]]\nid=1\nname="b"')
    put(tmp_path / "images" / "x.png", [[(9, 9, 9)] * 2])
    put(tmp_path / "images" / "y.png", [[(9, 9, 9)] * 2])
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.array([[300, 1]], np.uint16)).save(tmp_path / "labels" / "x.png")
    coloured = Image.fromarray(np.array([[1, 255]], np.uint8))
    coloured.putpalette([200, 10, 10] * 256)
    coloured.save(tmp_path / "labels" / "y.png")
    data = LabelFolder(tmp_path).open("all")
    assert data.load(0)[1].tolist() == [[1, 0]]
    assert data.load(1)[1].tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("class = 3", "list of"),
        ("[[class]\n", "not TOML"),
        ('[[class]]\nname="a"', "needs an `id`"),
        ('[[class]]\nid=-1\nname="a"', "needs an `id`"),
        ("[[class]]\nid=1", "needs a `name`"),
        ('[[class]]\nid=1\nname="a"\n[[class]]\nid=1\nname="b"', "listed twice"),
        ('[[class]]\nid=1\nname="a"\n[[class]]\nid=2\nname="a"', "listed twice"),
        ('[[class]]\nid=1\nname="a"\ncolor=[1,2,3]', "unknown field 'color'"),
        ('[[class]]\nid=1\nname="a"\ncolour=[1,2,300]', "`colour` must be"),
        ('[[class]]\nid=1\nname="a"\nvoid="yes"', "`void` must be"),
        ('[[class]]\nid=1\nname="a"\nvoid=true', "classes that are not void"),
    ],
)
def test_classes_file_mistakes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "classes.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as raised:
        read_classes(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_two_pictures_of_one_frame(tmp_path: Path) -> None:
    frame(tmp_path / "images", tmp_path / "labels", "a", [[1]])
    put(tmp_path / "images" / "a.png", [[(9, 9, 9)]])
    with pytest.raises(UserError, match="two files for one frame"):
        LabelFolder(tmp_path).open("all")


class TestClassesJson:
    """What `predict --save-labels` writes beside label images says what their ids mean."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        for split in ("train", "val"):
            frame(tmp_path / "images" / split, tmp_path / "labels" / split, "a", [[3, 10, 255]])
        return tmp_path

    @pytest.mark.parametrize("places", [["."], ["labels"], ["labels/train", "labels/val"]])
    def test_its_classes_are_the_datas(self, root: Path, places: list[str]) -> None:
        for place in places:
            write_classes(root / place, CAMVID)
        data = LabelFolder(root).open("train")
        assert data.classes == CAMVID
        assert data.load(0)[1].tolist() == [[3, 10, 255]]
        assert data.code.names == {}

    def test_ids_beyond_its_classes_are_refused(self, root: Path) -> None:
        # 11 to 18 would be classes of Cityscapes.
        frame(root / "images" / "val", root / "labels" / "val", "b", [[11]])
        write_classes(root, CAMVID)
        with pytest.raises(UserError, match=r"b\.png: id 11 is not a class"):
            LabelFolder(root).open("val").load(1)

    def test_without_splits_and_inside_out(self, tmp_path: Path) -> None:
        frame(tmp_path / "images", tmp_path / "labels", "a", [[10]])
        write_classes(tmp_path / "labels", CAMVID)
        assert LabelFolder(tmp_path).open("all").classes == CAMVID
        other = tmp_path / "other"
        frame(other / "train" / "images", other / "train" / "labels", "a", [[10]])
        write_classes(other / "train" / "labels", CAMVID)
        assert LabelFolder(other).open("train").classes == CAMVID

    def test_two_that_differ(self, root: Path) -> None:
        write_classes(root / "labels" / "train", CAMVID)
        write_classes(root / "labels" / "val", CITYSCAPES)
        with pytest.raises(
            UserError, match=r"val/classes\.json: names other classes \(city.*camvid"
        ):
            LabelFolder(root)

    def test_one_split_without_it(self, root: Path) -> None:
        write_classes(root / "labels" / "train", CAMVID)
        with pytest.raises(
            UserError, match=r"labels/val: has no classes\.json, but .*labels/train"
        ):
            LabelFolder(root)

    def test_beside_the_same_classes_in_toml(self, root: Path) -> None:
        listed = [f'[[class]]\nid = {k}\nname = "{name}"' for k, name in enumerate(CAMVID.names)]
        (root / "classes.toml").write_text("\n".join(listed))
        write_classes(root / "labels" / "train", CAMVID)
        assert LabelFolder(root).classes.names == CAMVID.names

    @pytest.mark.parametrize("ids", [[(0, "road"), (1, "sky")], [(1, "sky"), (2, "road")]])
    def test_beside_other_classes_in_toml(self, root: Path, ids: list[tuple[int, str]]) -> None:
        # The same names for other ids are other classes too.
        record = ClassSet("two", ("sky", "road"), ((1, 1, 1), (2, 2, 2)))
        listed = [f'[[class]]\nid = {number}\nname = "{name}"' for number, name in ids]
        (root / "classes.toml").write_text("\n".join(listed))
        write_classes(root / "labels", record)
        with pytest.raises(UserError, match=r"classes\.json: its classes .*not those of .*toml"):
            LabelFolder(root)

    def test_a_broken_one(self, root: Path) -> None:
        (root / "classes.json").write_text("{}")
        with pytest.raises(UserError, match=r"classes\.json is not a record of classes"):
            LabelFolder(root)
