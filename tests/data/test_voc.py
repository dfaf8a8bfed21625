"""PASCAL VOC and folders of one's own in its form: what is read, and what is wrong with it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.cli import main
from triptych.data.boxes import left_out_of
from triptych.data.check import check
from triptych.data.frames import read_picture
from triptych.data.open_detection import open_detection
from triptych.data.voc import CLASSES
from triptych.errors import UserError

STEMS = {"train": ["000001", "000002", "000003"], "val": ["000004", "000005"]}
WIDTH, HEIGHT = 60, 40


def thing(name: str, box: tuple[float, ...], more: str = "<difficult>0</difficult>") -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
    return f"<object><name>{name}</name>{more}<bndbox>{inner}</bndbox></object>"


def xml(*things: str, size: str = f"<width>{WIDTH}</width><height>{HEIGHT}</height>") -> str:
    return f"<annotation><size>{size}<depth>3</depth></size>{''.join(things)}</annotation>"


PART = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
TEXTS = {
    "000001": xml(
        thing("cat", (1, 1, WIDTH, HEIGHT)),
        thing("dog", (11, 6, 20, 15), f"<difficult>1</difficult>{PART}"),
    ),
    "000002": xml(),
    "000003": xml(thing("person", (5.5, 6, 20.25, 15), ""), size="<width>0</width>"),
    "000004": xml(thing("cat", (2, 2, 30, 30))),
    "000005": xml(thing("dog", (2, 2, 30, 30))),
}


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height))


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """A VOCdevkit with five pictures, of which one has no objects."""
    root = tmp_path / "VOCdevkit" / "VOC2007"
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for seed, (stem, text) in enumerate(TEXTS.items()):
        picture(seed).save(root / "JPEGImages" / f"{stem}.jpg")
        (root / "Annotations" / f"{stem}.xml").write_text(text)
    for split, stems in {**STEMS, "trainval": [*STEMS["train"], *STEMS["val"]]}.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(stems) + "\n")
        (root / "ImageSets" / "Main" / f"cat_{split}.txt").write_text("000001  1\n")
    return root.parent


@pytest.fixture
def folder(devkit: Path, tmp_path: Path) -> Path:
    """The same as a folder of one's own, a sub-folder a split."""
    root = tmp_path / "own"
    for split, stems in STEMS.items():
        (root / split).mkdir(parents=True)
        for stem in stems:
            for place, ending in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
                file = devkit / "VOC2007" / place / f"{stem}{ending}"
                shutil.copy(file, root / split / file.name)
    return root


def test_boxes_flags_and_pictures(devkit: Path) -> None:
    data = open_detection(f"voc2007:{devkit}", "train")
    assert (data.name, data.split, data.classes) == ("voc2007", "train", CLASSES)
    assert list(data.keys) == STEMS["train"]
    assert data.groups is None
    image, objects = data.load(0)
    np.testing.assert_array_equal(
        image, read_picture(devkit / "VOC2007" / "JPEGImages" / "000001.jpg")
    )
    # First and last pixel from 1 become edges from 0: the whole picture is the whole picture.
    assert objects.boxes.tolist() == [[0, 0, WIDTH, HEIGHT], [10, 5, 20, 15]]
    assert objects.boxes.dtype == np.float32
    assert [CLASSES[label] for label in objects.labels] == ["cat", "dog"]
    assert objects.difficult.tolist() == [False, True]
    assert not objects.crowd.any()
    assert len(data.objects(1)) == 0
    assert data.objects(1).boxes.shape == (0, 4)
    assert data.objects(2).boxes.tolist() == [[4.5, 5, 20.25, 15]]


@pytest.mark.parametrize("where", [".", "VOC2007", ".."])
def test_the_folder_may_be_named_at_any_level(devkit: Path, where: str) -> None:
    assert len(open_detection(f"voc2007:{devkit / where}", "trainval")) == 5


def test_the_folder_of_one_s_own_is_the_same_data(devkit: Path, folder: Path) -> None:
    voc = open_detection(f"voc2007:{devkit}", "train")
    inside = open_detection(f"vocxml:{devkit / 'VOC2007'}", "train")
    beside = open_detection(f"vocxml:{folder}", "train")
    assert inside.classes == beside.classes == ("cat", "dog", "person")
    assert inside.fingerprint() == beside.fingerprint() != voc.fingerprint()
    (folder / "classes.json").write_text(json.dumps(list(CLASSES)))
    listed = open_detection(f"vocxml:{folder}", "train")
    assert listed.classes == CLASSES
    assert listed.fingerprint() == voc.fingerprint()


def test_layouts_without_splits_and_with_sub_folders(folder: Path) -> None:
    (folder / "val").rename(folder / "valid")  # as some programs call it
    assert len(open_detection(f"vocxml:{folder}", "val")) == 2
    flat = open_detection(f"vocxml:{folder / 'train'}", "all")
    assert list(flat.keys) == STEMS["train"]
    assert flat.groups is None
    (folder / "train").rename(folder / "monday")
    whole = open_detection(f"vocxml:{folder / 'monday'}", "all")
    assert whole.groups is None
    (folder / "valid").rename(folder / "tuesday")
    days = open_detection(f"vocxml:{folder}", "all")
    assert days.groups == ("monday",) * 3 + ("tuesday",) * 2
    assert days.keys[0] == "monday/000001"


def test_the_fingerprint_follows_the_content(devkit: Path) -> None:
    def fingerprint() -> str:
        return open_detection(f"voc2007:{devkit}", "train").fingerprint()

    first = fingerprint()
    annotation = devkit / "VOC2007" / "Annotations" / "000001.xml"
    annotation.write_text(TEXTS["000001"].replace("<annotation>", "<annotation><a>new</a>"))
    assert fingerprint() == first
    annotation.write_text(TEXTS["000001"].replace("difficult>1<", "difficult>0<"))
    second = fingerprint()
    annotation.write_text(TEXTS["000001"].replace("xmin>11<", "xmin>12<"))
    third = fingerprint()
    picture(9).save(devkit / "VOC2007" / "JPEGImages" / "000002.jpg")
    assert len({first, second, third, fingerprint()}) == 4


def annotate(stem: str, text: str) -> Callable[[Path], None]:
    return lambda root: (root / "VOC2007" / "Annotations" / f"{stem}.xml").write_text(text) and None


def cut_picture(root: Path) -> None:
    path = root / "VOC2007" / "JPEGImages" / "000001.jpg"
    path.write_bytes(path.read_bytes()[:-100])


def no_header(root: Path) -> None:
    (root / "VOC2007" / "JPEGImages" / "000001.jpg").write_text("hello")


def drop(place: str) -> Callable[[Path], None]:
    return lambda root: (root / "VOC2007" / place).unlink()


def named_twice(root: Path) -> None:
    (root / "VOC2007" / "ImageSets" / "Main" / "train.txt").write_text("000001\n000002\n000001\n")


BOMB = (
    '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;">]>'
    "<annotation><object><name>&y;</name></object></annotation>"
)
FILE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><annotation>&x;</annotation>'
OTHER = xml(size=f"<width>{HEIGHT}</width><height>{WIDTH}</height>")
FAULTS = {
    "not xml": (annotate("000001", "hello"), "not an XML annotation", 2, 1),
    "another root": (annotate("000001", "<a/>"), "its root is <a>", 2, 1),
    "a bomb": (annotate("000001", BOMB), "not an XML annotation", 2, 1),
    "another file": (annotate("000001", FILE), "not an XML annotation", 2, 1),
    "other size": (annotate("000001", OTHER), "40x60, but .* is 60x40.*EXIF", 2, 1),
    "unknown class": (
        annotate("000001", xml(thing("unicorn", (1, 1, 9, 9)), thing("cat", (1, 1, 9, 9)))),
        r"000001.xml, object 1 \(unicorn\): 'unicorn' is no class", 3, 2,
    ),
    "no class": (annotate("000001", xml(thing("", (1, 1, 9, 9)))), "object 1: no class", 3, 1),
    "no area": (
        annotate("000001", xml(thing("cat", (9, 1, 8, 9)), thing("cat", (1, 1, 1, 1)))),
        "a box of 0x9 pixels", 3, 2,
    ),
    "no number": (
        annotate("000001", xml(thing("cat", (1, 1, "nine", 9)))),  # type: ignore[arg-type]
        "no four numbers", 3, 1,
    ),
    "not finite": (annotate("000001", xml(thing("cat", (1, 1, float("inf"), 9)))), "no four", 3, 1),
    "outside": (
        annotate("000001", xml(thing("cat", (200, 1, 210, 9)), thing("cat", (51, 31, 70, 45)))),
        "150 pixels over the edge of the 60x40 picture, and 1 more", 3, 2,
    ),
    "no header": (no_header, "000001.jpg: cannot be read", 2, 1),
    "no picture": (drop("JPEGImages/000001.jpg"), "000001.jpg: no such picture", 2, 1),
    "no annotation": (drop("Annotations/000001.xml"), "000001.jpg: has no .*000001.xml", 2, 1),
    "named twice": (named_twice, "line 3: 000001 is there twice", 2, 2),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_refused_or_left_out(devkit: Path, fault: str) -> None:
    plant, message, images, objects = FAULTS[fault]
    plant(devkit)
    spec = f"voc2007:{devkit}"
    with pytest.raises(UserError, match=message) as told:
        open_detection(spec, "train")
    assert "\n" not in str(told.value)
    data = open_detection(spec, "train", strict=False)
    assert len(data) == images
    assert sum(len(data.objects(index)) for index in range(images)) == objects
    (finding,) = data.findings  # type: ignore[attr-defined]
    assert finding.severity == "error"
    report = check(spec, progress=False)
    assert report.wrong
    assert finding.text in [each.text for each in report.findings]


def test_what_is_left_of_boxes_over_the_edge(devkit: Path) -> None:
    FAULTS["outside"][0](devkit)
    data = open_detection(f"voc2007:{devkit}", "train", strict=False)
    assert data.objects(0).boxes.tolist() == [[50, 30, WIDTH, HEIGHT]]
    # A pixel over the edge is only cut, by everybody alike.
    annotate("000001", xml(thing("cat", (0, 1, 61, 40.5))))(devkit)
    data = open_detection(f"voc2007:{devkit}", "train")
    assert data.objects(0).boxes.tolist() == [[0, 0, WIDTH, HEIGHT]]
    (note,) = data.findings  # type: ignore[attr-defined]
    assert note.severity == "note"


def test_a_picture_cut_short(devkit: Path) -> None:
    cut_picture(devkit)
    data = open_detection(f"voc2007:{devkit}", "train")
    with pytest.raises(UserError, match=r"000001.jpg: cannot be read"):
        data.load(0)
    data = open_detection(f"voc2007:{devkit}", "train", strict=False)
    assert list(data.keys) == STEMS["train"][1:]
    report = check(f"voc2007:{devkit}", progress=False)
    assert any("000001.jpg" in each.text for each in report.findings if each.severity == "error")


def test_what_is_left_out_is_said_in_one_line_and_on_record(
    devkit: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = f"voc2007:{devkit}"
    whole = open_detection(spec, "train", strict=False)
    assert whole.fingerprint() == open_detection(spec, "train").fingerprint()
    assert left_out_of(whole) == {}
    assert not caplog.records
    cut_picture(devkit)
    faulty = xml(thing("cat", (9, 1, 8, 9)), thing("cat", (1, 1, 1, 1)), thing("dog", (1, 1, 9, 9)))
    annotate("000002", faulty)(devkit)
    annotate("000003", xml(thing("person", (9, 1, 8, 9))))(devkit)
    left = open_detection(spec, "train", strict=False)
    assert left.fingerprint() != whole.fingerprint()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "voc2007 train, left out or cut: 2 boxes have no area (000002.xml, 000003.xml); "
        "1 files cannot be read (000001.jpg)"
    )
    assert left_out_of(left) == {
        "no area": {"count": 2, "files": ["000002.xml", "000003.xml"]},
        "unreadable": {"count": 1, "files": ["000001.jpg"]},
    }
    assert left.without == ("000001",)  # type: ignore[attr-defined]


def test_all_that_is_refused_is_where_the_line_says(
    devkit: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for stem in ("000001", "000002", "000003", "000004", "000005"):
        annotate(stem, "hello")(devkit)
    with pytest.raises(UserError, match="and 4 more problems; `triptych data check --json` lists"):
        open_detection(f"voc2007:{devkit}", "trainval")
    (devkit / "VOC2007" / "ImageSets" / "Main" / "val.txt").unlink()
    assert main(["data", "check", f"voc2007:{devkit}", "--json"]) == 2
    (error,) = json.loads(capsys.readouterr().out)["findings"][:1]
    assert [Path(file).stem for file in error["files"]] == [
        "000001", "000002", "000003", "000004", "000005",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lists", "splits"),
    [
        (("train", "val", "trainval"), ["train", "val"]),
        (("train", "val", "trainval", "test"), ["train", "val", "test"]),
        (("trainval", "test"), ["trainval", "test"]),
        (("trainval",), ["trainval"]),
        (("train", "trainval"), ["trainval"]),
        (("val", "trainval", "test"), ["trainval", "test"]),
        (("train", "test"), ["train", "test"]),
        (("monday",), ["monday"]),
    ],
)
def test_every_picture_of_the_lists_is_looked_at_once(
    devkit: Path, lists: tuple[str, ...], splits: list[str]
) -> None:
    place = devkit / "VOC2007" / "ImageSets" / "Main"
    for file in place.glob("*.txt"):
        file.unlink()
    stems = {
        **STEMS,
        "trainval": [*STEMS["train"], *STEMS["val"]],
        "test": [],
        "monday": ["000001"],
    }
    for name in lists:
        (place / f"{name}.txt").write_text("\n".join(stems[name]) + "\n")
    annotate("000004", xml(thing("sheep", (2, 2, 30, 30))))(devkit)
    for spec in (f"voc2007:{devkit}", f"vocxml:{devkit / 'VOC2007'}"):
        assert list(check(spec, progress=False).splits) == splits
    own = open_detection(f"vocxml:{devkit / 'VOC2007'}", lists[0])
    assert ("sheep" in own.classes) == bool({"val", "trainval"} & set(lists))


def test_endings_in_capitals_and_stems_with_spaces(devkit: Path) -> None:
    root = devkit / "VOC2007"
    (root / "JPEGImages" / "000001.jpg").rename(root / "JPEGImages" / "000001.JPG")
    (root / "Annotations" / "000002.xml").rename(root / "Annotations" / "000002.XML")
    for folder, ending in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
        (root / folder / f"000003{ending}").rename(root / folder / f"my street 1{ending}")
    listed = root / "ImageSets" / "Main" / "train.txt"
    listed.write_text("000001\n000002 \nmy street 1\n")
    stems = ["000001", "000002", "my street 1"]
    assert list(open_detection(f"voc2007:{devkit}", "train").keys) == stems
    # A list of one class has a second column.
    listed.write_text("000001 -1\n000002  0\nmy street 1  1\n")
    assert list(open_detection(f"voc2007:{devkit}", "train").keys) == stems
    # Nothing else of a line is passed over.
    listed.write_text("000001 2\n000002\n")
    with pytest.raises(UserError, match=r"000001 2\.jpg: no such picture"):
        open_detection(f"voc2007:{devkit}", "train")


@pytest.mark.parametrize(
    ("spec", "split", "message"),
    [
        ("voc2007:{root}", "test", "no split 'test' here; there are: train, val, trainval"),
        ("voc2012:{root}", "train", "has no VOC2012/Annotations"),
        ("voc2007:{root}/none", "train", "no such folder"),
        ("voc2007", "train", "triptych data fetch voc2007"),
        ("vocxml", "train", "vocxml needs its folder"),
        ("vocxml:{root}/none", "train", "no such folder"),
        ("vocxml:{root}/VOC2007/ImageSets", "all", "no annotation here names an object"),
        ("coco:{root}/a.json", "all", "coco needs the folder of its pictures"),
        ("voc2008:{root}", "train", "did you mean voc200"),
        ("streets:scene=1", "train", "did you mean scenes"),
    ],
)
def test_requests_that_cannot_be_met(
    devkit: Path, spec: str, split: str, message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=message):
        open_detection(spec.format(root=devkit), split)


@pytest.mark.parametrize("text", ["{", "[]", '["a", "a"]', '{"name": "x"}', "[1]"])
def test_a_broken_list_of_classes(folder: Path, text: str) -> None:
    (folder / "classes.json").write_text(text)
    with pytest.raises(UserError, match=r"classes.json: "):
        open_detection(f"vocxml:{folder}", "train")


def test_check_counts_and_finds_copies(devkit: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = check(f"voc2007:{devkit}", progress=False)
    assert not report.wrong
    train = report.splits["train"]
    assert (train["images"], train["images_without_objects"]) == (3, 1)
    assert train["classes"]["dog"] == {"objects": 1, "difficult": 1, "crowd": 0, "small": 1}
    assert train["classes"]["cat"]["small"] == 0
    images = devkit / "VOC2007" / "JPEGImages"
    shutil.copy(images / "000001.jpg", images / "000004.jpg")
    assert main(["data", "check", f"voc2007:{devkit}", "--json"]) == 2
    shown = json.loads(capsys.readouterr().out)
    (error,) = [each for each in shown["findings"] if each["severity"] == "error"]
    assert "share 1 pictures (the same pixels)" in error["text"]
    assert main(["data", "check", f"voc2007:{devkit}"]) == 2
    text = capsys.readouterr().out
    assert "train: 3 images, 1 of them without objects" in text
    assert "  dog: 1 objects (1 difficult, 1 small)" in text


def test_the_real_thing(shared: Path) -> None:
    """VOC2007 as far as it is here, against a look at its XML files as text."""
    root = shared / "data" / "VOCdevkit"
    data = open_detection(f"voc2007:{root}", "val")
    assert data.findings == ()  # type: ignore[attr-defined]
    assert len(data) == len((root / "VOC2007/ImageSets/Main/val.txt").read_text().split())
    for index, key in enumerate(data.keys):
        text = (root / "VOC2007" / "Annotations" / f"{key}.xml").read_text()
        objects = data.objects(index)
        assert len(objects) == text.count("<object>")
        assert objects.difficult.sum() == text.count("<difficult>1</difficult>")
    image, objects = data.load(data.keys.index("000007"))
    assert image.shape == (333, 500, 3)
    assert objects.boxes.tolist() == [[140, 49, 500, 330]]
    assert [CLASSES[label] for label in objects.labels] == ["car"]
