"""`data fetch` of VOC against a server on this machine, and archives that mean harm."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.cli import main
from triptych.data.download import Patience
from triptych.data.open_detection import open_detection
from triptych.data.safe_tar import unpack
from triptych.data.voc_fetch import ARCHIVES, Archive, fetch_voc
from triptych.errors import UserError, WorkFailed

QUICK = Patience(timeout=2, tries=2, pause=0.01)
XML = "<annotation><object><name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax>\
<ymax>9</ymax></bndbox></object></annotation>"


def member(tar: tarfile.TarFile, name: str, content: bytes, kind: bytes = tarfile.REGTYPE) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    info.mode, info.linkname = 0o777, "/etc/passwd"
    tar.addfile(info, io.BytesIO(content))


def voc_tar(path: Path, split: str, stem: str) -> None:
    picture = io.BytesIO()
    noise = np.random.default_rng(int(stem)).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(noise).save(picture, "JPEG")
    root = "VOCdevkit/VOC2007"
    with tarfile.open(path, "w") as tar:
        member(tar, root, b"", tarfile.DIRTYPE)
        member(tar, f"{root}/ImageSets/Main/{split}.txt", f"{stem}\n".encode())
        member(tar, f"{root}/Annotations/{stem}.xml", XML.encode())
        member(tar, f"{root}/JPEGImages/{stem}.jpg", picture.getvalue())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def archives(tmp_path: Path) -> Iterator[tuple[Archive, ...]]:
    """Two tar files on a server of this machine."""
    served = tmp_path / "served"
    served.mkdir()
    voc_tar(served / "trainval.tar", "trainval", "000001")
    voc_tar(served / "test.tar", "test", "000002")
    handler = partial(Quiet, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        yield tuple(
            Archive(f"{address}/{path.name}", hashlib.md5(path.read_bytes()).hexdigest(), 1)
            for path in (served / "trainval.tar", served / "test.tar")
        )
        server.shutdown()
        thread.join()


def test_fetched_whole_and_only_once(archives: tuple[Archive, ...], tmp_path: Path) -> None:
    devkit = tmp_path / "VOCdevkit"
    place = fetch_voc("voc2007", devkit, archives=archives, patience=QUICK)
    assert [path.name for path in devkit.iterdir()] == ["VOC2007"]
    assert place == devkit / "VOC2007"
    for split in ("trainval", "test"):
        data = open_detection(f"voc2007:{devkit}", split)
        assert data.load(0)[1].boxes.tolist() == [[0, 0, 9, 9]]
    gone = tuple(Archive(f"{each.address}.gone", each.md5, 1) for each in archives)
    assert fetch_voc("voc2007", devkit, archives=gone, patience=QUICK) == place


def test_what_is_downloaded_stays_for_the_next_try(
    archives: tuple[Archive, ...], tmp_path: Path
) -> None:
    devkit = tmp_path / "VOCdevkit"
    first, second = archives
    gone = Archive(f"{second.address}.gone", second.md5, 1)
    with pytest.raises(WorkFailed, match="404"):
        fetch_voc("voc2007", devkit, archives=(first, gone), patience=QUICK)
    assert (devkit / "trainval.tar").is_file()
    assert not (devkit / "VOC2007").exists()
    lost = Archive(first.address.replace(":", ":1", 1), first.md5, 1)  # no server asked for it
    place = fetch_voc("voc2007", devkit, archives=(lost, second), patience=QUICK)
    assert sorted(path.name for path in (place / "JPEGImages").iterdir()) == [
        "000001.jpg",
        "000002.jpg",
    ]


def test_another_file_than_it_should_be(archives: tuple[Archive, ...], tmp_path: Path) -> None:
    wrong = tuple(Archive(each.address, "0" * 32, 1) for each in archives)
    with pytest.raises(WorkFailed, match="expected md5 0000"):
        fetch_voc("voc2007", tmp_path / "VOCdevkit", archives=wrong, patience=QUICK)
    assert not (tmp_path / "VOCdevkit" / "VOC2007").exists()


def test_half_a_data_set_is_not_taken_for_whole(
    archives: tuple[Archive, ...], tmp_path: Path
) -> None:
    devkit = tmp_path / "VOCdevkit"
    with pytest.raises(WorkFailed, match="no list of test"):
        fetch_voc("voc2007", devkit, archives=archives[:1], patience=QUICK)
    assert [path.name for path in devkit.iterdir()] == ["trainval.tar"]
    (devkit / "VOC2007" / "ImageSets" / "Main").mkdir(parents=True)
    with pytest.raises(UserError, match="is there but has no test and no trainval"):
        fetch_voc("voc2007", devkit, archives=archives, patience=QUICK)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("/tmp/absolute.txt", tarfile.REGTYPE),
        ("VOCdevkit/VOC2007/../../../out.txt", tarfile.REGTYPE),
        ("VOCdevkit/VOC2007/link", tarfile.SYMTYPE),
        ("VOCdevkit/VOC2007/hard", tarfile.LNKTYPE),
        ("VOCdevkit/VOC2007/pipe", tarfile.FIFOTYPE),
        ("VOCdevkit\\VOC2007\\a.txt", tarfile.REGTYPE),
        ("C:/a.txt", tarfile.REGTYPE),
    ],
)
def test_archives_that_lead_elsewhere(tmp_path: Path, name: str, kind: bytes) -> None:
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as tar:
        member(tar, name, b"" if kind != tarfile.REGTYPE else b"x", kind)
    into = tmp_path / "inside" / "deep"
    with pytest.raises(WorkFailed, match=r"bad\.tar: .*(link or a device|leads out)"):
        unpack(path, into, "VOCdevkit/VOC2007")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["bad.tar"]


def test_archives_that_are_too_large_or_broken(tmp_path: Path) -> None:
    path = tmp_path / "large.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(5):
            member(tar, f"a/{number}", bytes(1000))
            member(tar, f"b/{number}", bytes(1000))
    assert unpack(path, tmp_path / "fits", "a", most_files=10, most_bytes=10_000) == 10
    written = sorted(file.name for file in (tmp_path / "fits").rglob("*") if file.is_file())
    assert written == list("01234")
    assert (tmp_path / "fits" / "0").stat().st_mode & 0o111 == 0
    for limits in ({"most_files": 9}, {"most_bytes": 9999}):
        with pytest.raises(WorkFailed, match="holds more than"):
            unpack(path, tmp_path / "less", "a", **limits)
    path.write_bytes(path.read_bytes()[:2600])
    with pytest.raises(WorkFailed, match=r"broken or no tar|cannot be unpacked"):
        unpack(path, tmp_path / "cut", "a")
    path.write_text("hello")
    with pytest.raises(WorkFailed, match="no tar file"):
        unpack(path, tmp_path / "none", "a")


def test_the_command(
    archives: tuple[Archive, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(ARCHIVES, "voc2007", archives)
    assert main(["data", "list"]) == 0
    assert "not here" in capsys.readouterr().out
    assert main(["data", "fetch", "voc2007"]) == 0
    place = tmp_path / "cache" / "VOCdevkit" / "VOC2007"
    assert capsys.readouterr().out == f"voc2007: {place}\n"
    assert len(open_detection("voc2007", "test")) == 1
    assert main(["data", "list"]) == 0
    assert str(place) in capsys.readouterr().out
    assert main(["data", "fetch", "imagenet"]) == 2
    assert "there are cifar100, voc2007, voc2012" in capsys.readouterr().err
    assert main(["data", "fetch", "cifar100", "--out", str(tmp_path)]) == 2
