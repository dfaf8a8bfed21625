"""CIFAR-100 in every form: the same pictures, and nothing broken, hostile or wrong gets in."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from triptych.data import cifar100 as module
from triptych.data.cifar100 import cifar100
from triptych.data.cifar100_names import CLASSES
from triptych.data.download import Patience, download
from triptych.errors import UserError, WorkFailed

SIZES = {"train": 40, "test": 12}
RNG = np.random.default_rng(8)
PIXELS = {split: RNG.integers(0, 256, (n, 3, 32, 32), np.uint8) for split, n in SIZES.items()}
LABELS = {split: RNG.integers(0, 100, n) for split, n in SIZES.items()}
NAMES = {split: [f"{split}_{i:03d}.png" for i in range(n)] for split, n in SIZES.items()}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0)).save(file, kind, lossless=True)
    return file.getvalue()


def table(split: str, **changes: Any) -> dict[str, Any]:
    whole = {
        "data": PIXELS[split].reshape(-1, 3072),
        "fine_labels": LABELS[split].tolist(),
        "coarse_labels": (LABELS[split] // 5).tolist(),
        "filenames": NAMES[split],
        "batch_label": "batch",
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def pickles(root: Path, **changed: bytes) -> Path:
    """The unpacked folder; `changed` replaces files."""
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    files = {split: pickle.dumps(table(split), 2) for split in SIZES}
    files["meta"] = pickle.dumps({"fine_label_names": list(CLASSES)}, 2)
    for name, content in {**files, **changed}.items():
        (folder / name).write_bytes(content)
    return root


def archive(root: Path, extra: Callable[[tarfile.TarFile], None] = lambda _: None) -> Path:
    root.mkdir(exist_ok=True)
    pickles(root / "aside")
    with tarfile.open(root / "cifar-100-python.tar.gz", "w:gz") as tar:
        tar.add(root / "aside" / "cifar-100-python", "cifar-100-python")
        extra(tar)
    return root


def shard(path: Path, rows: list[tuple[bytes | None, str | None, Any]]) -> None:
    images = pa.array(
        [{"bytes": content, "path": name} for content, name, _ in rows],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    labels = pa.array([label for *_, label in rows], pa.int64())
    pq.write_table(pa.table({"img": images, "fine_label": labels}), path)


def parquet(root: Path, shards: int = 3) -> Path:
    """Shards whose rows are in another order than the archive's."""
    root.mkdir(exist_ok=True)
    for split, count in SIZES.items():
        order = np.random.default_rng(1).permutation(count)
        for number, part in enumerate(np.array_split(order, shards)):
            shard(
                root / f"{split}-{number:05d}-of-{shards:05d}.parquet",
                [
                    (encoded(PIXELS[split][i], "WEBP"), NAMES[split][i], int(LABELS[split][i]))
                    for i in part
                ],
            )
    return root


def folders(root: Path) -> Path:
    for split in SIZES:
        for pixels, label, name in zip(PIXELS[split], LABELS[split], NAMES[split], strict=True):
            place = root / split / CLASSES[label]
            place.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(encoded(pixels))
    return root


FORMS = {"archive": archive, "pickles": pickles, "parquet": parquet, "folders": folders}


def contents(pixels: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return [(picture.tobytes(), int(label)) for picture, label in zip(pixels, labels, strict=True)]


@pytest.mark.parametrize("form", FORMS)
def test_all_forms_give_all_pictures(tmp_path: Path, form: str) -> None:
    root = FORMS[form](tmp_path / "data")
    train, val, test = (cifar100(root, split, val_images=7) for split in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (33, 7, 12)
    assert test.classes == CLASSES
    for split, parts in (("train", (train, val)), ("test", (test,))):
        expected = contents(PIXELS[split], LABELS[split])
        got = [pair for part in parts for pair in contents(part.pixels, part.labels)]
        assert len(got) == len(expected)
        assert set(got) == set(expected)


def test_all_forms_give_the_same_splits(tmp_path: Path) -> None:
    roots = {form: make(tmp_path / form) for form, make in FORMS.items()}
    for split in ("train", "val", "test"):
        prints = {cifar100(root, split, val_images=7).fingerprint() for root in roots.values()}
        assert len(prints) == 1, split
    assert (
        cifar100(roots["pickles"], "val", val_images=7, split_seed=1).fingerprint()
        != cifar100(roots["pickles"], "val", val_images=7).fingerprint()
    )


def test_test_does_not_depend_on_the_draw(tmp_path: Path) -> None:
    root = pickles(tmp_path)
    one = cifar100(root, "test", val_images=3, split_seed=4)
    assert one.fingerprint() == cifar100(root, "test").fingerprint()


def test_the_unpacked_folder_itself_will_do(tmp_path: Path) -> None:
    root = pickles(tmp_path) / "cifar-100-python"
    assert len(cifar100(root, "test")) == 12


def test_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = parquet(tmp_path / "data")
    first = cifar100(root, "test")
    monkeypatch.setattr(
        "triptych.data.cifar100_parquet.read_rgb", lambda *_: pytest.fail("decoded again")
    )
    assert cifar100(root, "test").fingerprint() == first.fingerprint()
    changed = root / "test-00000-of-00003.parquet"
    shard(changed, [(encoded(PIXELS["test"][0]), "a", 3)])
    with pytest.raises(pytest.fail.Exception):
        cifar100(root, "test")


def test_incomplete_sets_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cifar100(pickles(tmp_path), "test")
    assert "test has 12 pictures, CIFAR-100 has 10,000" in caplog.text


def test_names_come_from_the_file_beside_the_shards(tmp_path: Path) -> None:
    root = parquet(tmp_path / "data")
    names = [f"class {n}" for n in range(100)]
    (root / "fine_label_names.txt").write_text("\n".join(names) + "\n")
    assert cifar100(root, "test").classes == tuple(names)
    (root / "fine_label_names.txt").write_text("\n".join([*names[:99], names[0]]))
    with pytest.raises(UserError, match=r"fine_label_names\.txt: must hold 100 different"):
        cifar100(root, "test")


def test_two_files_of_one_name_keep_apart(tmp_path: Path) -> None:
    names = ["same.png"] * 12
    root = pickles(tmp_path, test=pickle.dumps(table("test", filenames=names), 2))
    assert len(set(cifar100(root, "test").keys)) == 12


# --- pickles and archives --------------------------------------------------------------------


class Runs:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("where", ["train", "meta"])
@pytest.mark.parametrize(
    ("named", "build"),
    [
        ("posix.system", lambda p: Runs(__import__("os").system, f"touch {p}")),
        ("__builtin__.eval", lambda p: Runs(eval, f"open({str(p)!r}, 'w')")),
        ("__builtin__.getattr", lambda p: Runs(getattr, "x", "upper")),
        ("numpy.load", lambda p: Runs(np.load, str(p), None, True)),
    ],
)
def test_a_pickle_that_runs_something_is_refused(
    tmp_path: Path, where: str, named: str, build: Callable[[Path], Any]
) -> None:
    proof = tmp_path / "ran"
    root = pickles(tmp_path, **{where: pickle.dumps({"data": build(proof)}, 2)})
    with pytest.raises(UserError, match=rf"cifar-100-python/{where}: .*asks for {named}"):
        cifar100(root, "train")
    assert not proof.exists()


def test_the_stand_ins_do_nothing_else() -> None:
    """Names that are allowed lead to no attribute, no import and no other codec."""
    from triptych.data.cifar100_pickle import _Reader

    with pytest.raises(pickle.UnpicklingError, match="latin1"):
        _Reader(io.BytesIO(b"c_codecs\nencode\n(Vabc\nVrot13\ntR.")).load()
    with pytest.raises(pickle.UnpicklingError, match=r"numpy\.ndarray\.tofile"):
        _Reader(io.BytesIO(b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.")).load()


def broken_tables() -> dict[str, tuple[bytes, str]]:
    wide = PIXELS["test"].reshape(-1, 3072)
    dump = partial(pickle.dumps, protocol=2)
    return {
        "cut": (dump(table("test"))[:-500], "is not a CIFAR-100 pickle"),
        "empty": (b"", "is not a CIFAR-100 pickle"),
        "text": (b"<html>not found</html>", "is not a CIFAR-100 pickle"),
        "list": (dump([1, 2]), "is not a CIFAR-100 pickle"),
        "no data": (dump(table("test", data=None)), "`data` must be"),
        "narrow": (dump(table("test", data=wide[:, :100])), "`data` must be"),
        "float": (dump(table("test", data=wide.astype(np.float32))), "`data` must be"),
        "turned": (dump(table("test", data=np.asfortranarray(wide))), "`data` must be"),
        "labels": (dump(table("test", fine_labels=None)), "has no list .* `fine_labels`"),
        "texts": (dump(table("test", fine_labels=["1"] * 12)), "has no list"),
        "high": (dump(table("test", fine_labels=[*range(11), 100])), "row 11 has label 100"),
        "low": (dump(table("test", fine_labels=[3, -1, *range(10)])), "row 1 has label -1"),
        "huge": (dump(table("test", fine_labels=[2**80] * 12)), "must be 0 to 99"),
        "few": (dump(table("test", fine_labels=[1, 2])), "12 pictures, but 2 fine_labels"),
    }


@pytest.mark.parametrize("case", broken_tables())
def test_broken_pickles_are_refused_by_name(tmp_path: Path, case: str) -> None:
    content, message = broken_tables()[case]
    with pytest.raises(UserError, match=message) as error:
        cifar100(pickles(tmp_path, test=content), "test")
    assert "\n" not in str(error.value)
    assert "cifar-100-python/test" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    root = pickles(tmp_path)
    (root / "cifar-100-python" / "train").unlink()
    with pytest.raises(UserError, match="cifar-100-python/train: is missing"):
        cifar100(root, "train")
    (root / "cifar-100-python" / "meta").unlink()
    assert cifar100(root, "test").classes == CLASSES


def member(name: str, content: bytes = b"x", **fields: Any) -> Callable[[tarfile.TarFile], None]:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for field, value in fields.items():
            setattr(info, field, value)
        tar.addfile(info, io.BytesIO(content))

    return add


@pytest.mark.parametrize(
    "extra",
    [
        member("../outside"),
        member("/tmp/triptych-outside"),
        member("cifar-100-python/../../outside"),
        member("cifar-100-python/link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("cifar-100-python/test", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("cifar-100-python/hard", b"", type=tarfile.LNKTYPE, linkname="../../x"),
        member("cifar-100-python/pipe", b"", type=tarfile.FIFOTYPE),
    ],
)
def test_archives_with_foreign_entries_are_refused(
    tmp_path: Path, extra: Callable[[tarfile.TarFile], None]
) -> None:
    root = archive(tmp_path / "data", extra)
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    with pytest.raises(UserError, match=r"cifar-100-python\.tar\.gz: entry '.*' does not belong"):
        cifar100(root, "test")
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
    assert not Path("/tmp/triptych-outside").exists()


def test_a_cut_archive_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "data") / "cifar-100-python.tar.gz"
    for content in (path.read_bytes()[:3000], b"<html>", b""):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"cifar-100-python\.tar\.gz: cannot be read .*again"):
            cifar100(path.parent, "test")


# --- parquet ---------------------------------------------------------------------------------


def test_missing_shards_are_named(tmp_path: Path) -> None:
    root = parquet(tmp_path / "data")
    (root / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(UserError, match=r"train-00001-of-00003\.parquet missing"):
        cifar100(root, "val", val_images=3)
    assert len(cifar100(root, "test")) == 12


def test_shards_of_two_sets_are_refused(tmp_path: Path) -> None:
    root = parquet(tmp_path / "data")
    (root / "test-00000-of-00001.parquet").write_bytes(b"")
    with pytest.raises(UserError, match="several sets"):
        cifar100(root, "test")


def test_one_shard_without_numbers_will_do(tmp_path: Path) -> None:
    shard(tmp_path / "test-all.parquet", [(encoded(PIXELS["test"][0]), None, 3)])
    assert cifar100(tmp_path, "test").keys == ("test-00000",)


def test_an_empty_set_is_refused(tmp_path: Path) -> None:
    shard(tmp_path / "test-00000-of-00001.parquet", [])
    with pytest.raises(UserError, match="test has no pictures"):
        cifar100(tmp_path, "test")


def broken_rows() -> dict[str, tuple[tuple[bytes | None, str, Any], str]]:
    whole = encoded(PIXELS["test"][0])
    webp = encoded(PIXELS["test"][0], "WEBP")
    large = encoded(np.zeros((3, 33, 32), np.uint8))
    return {
        "cut PNG": ((whole[:-200], "x", 1), "row 2: cannot be read as a picture"),
        "cut WebP": ((webp[:-200], "x", 1), "row 2: cannot be read as a picture"),
        "no picture": ((b"hello", "x", 1), "row 2: is no PNG"),
        "nothing": ((None, "x", 1), "row 2 has no picture"),
        "size": ((large, "x", 1), "row 2 is 32x33, but"),
        "label": ((whole, "x", 100), "row 2 has label 100"),
        "negative": ((whole, "x", -1), "row 2 has label -1"),
        "no label": ((whole, "x", None), "row 2 has no fine_label"),
    }


@pytest.mark.parametrize("case", broken_rows())
def test_broken_rows_are_refused_by_file_and_row(tmp_path: Path, case: str) -> None:
    row, message = broken_rows()[case]
    fine = (encoded(PIXELS["test"][1]), "y", 5)
    path = tmp_path / "test-00000-of-00001.parquet"
    shard(path, [fine, fine, row, fine])
    with pytest.raises(UserError, match=rf"{re.escape(str(path))}: {message}"):
        cifar100(tmp_path, "test")


def test_broken_shards_are_refused_by_name(tmp_path: Path) -> None:
    root = parquet(tmp_path / "data", shards=1)
    path = root / "test-00000-of-00001.parquet"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 8 : len(whole) // 4] = bytes(len(whole) // 4 - len(whole) // 8)
    for content in (whole[: len(whole) // 2], b"", b"PAR1", bytes(damaged)):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{re.escape(str(path))}: ") as error:
            cifar100(root, "test")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"img": [{"bytes": b"x"}]}, "no column 'fine_label' .there are img"),
        ({"image": [b"x"], "fine_label": [1]}, "no column 'img'"),
        ({"img": [b"x"], "fine_label": [1]}, "'img' must be a struct"),
        ({"img": [{"bytes": b"x"}], "fine_label": ["apple"]}, "must hold whole numbers"),
    ],
)
def test_other_columns_are_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "test-00000-of-00001.parquet")
    with pytest.raises(UserError, match=message):
        cifar100(tmp_path, "test")


# --- folders ---------------------------------------------------------------------------------


def test_other_classes_and_sizes_are_refused(tmp_path: Path) -> None:
    root = folders(tmp_path / "data")
    odd = root / "test" / CLASSES[LABELS["test"][0]] / "odd.png"
    odd.write_bytes(encoded(np.zeros((3, 32, 31), np.uint8)))
    with pytest.raises(UserError, match=r"odd\.png: 31x32, but pictures"):
        cifar100(root, "test")
    odd.unlink()
    (root / "test" / "unicorn").mkdir()
    (root / "test" / "unicorn" / "a.png").write_bytes(encoded(PIXELS["test"][0]))
    with pytest.raises(UserError, match="unicorn: no class of CIFAR-100"):
        cifar100(root, "test")


def test_folders_without_the_data_set_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no CIFAR-100"):
        cifar100(tmp_path, "train")
    with pytest.raises(UserError, match="gone: no such folder"):
        cifar100(tmp_path / "gone", "train")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: a file, give its folder"):
        cifar100(tmp_path / "file", "train")
    root = pickles(tmp_path)
    with pytest.raises(UserError, match="40 validation pictures cannot be kept back from 40"):
        cifar100(root, "train", val_images=40)


# --- download --------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The archive on a loopback server; yields the paths that were asked for."""
    root, asked = archive(tmp_path / "served"), []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    content = (root / "cifar-100-python.tar.gz").read_bytes()
    handler = partial(Handler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        address = f"http://127.0.0.1:{httpd.server_address[1]}/cifar-100-python.tar.gz"
        monkeypatch.setattr(module, "ADDRESS", address)
        monkeypatch.setattr(module, "MD5", hashlib.md5(content).hexdigest())
        yield asked
        httpd.shutdown()
        thread.join()


def test_downloaded_once_and_read(served: list[str]) -> None:
    for split, count in (("test", 12), ("val", 7), ("train", 33)):
        assert len(cifar100(None, split, val_images=7)) == count
    assert served == ["/cifar-100-python.tar.gz"]


def test_another_file_than_the_published_one_is_refused(
    served: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MD5", "0" * 32)
    with pytest.raises(WorkFailed, match=r"expected md5 0+, got .*give cifar100:DIR"):
        cifar100(None, "test")


def test_without_network_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ADDRESS", "http://127.0.0.1:9/x")
    quick = partial(download, patience=Patience(timeout=1, tries=1, pause=0.01))
    monkeypatch.setattr(module, "download", quick)
    with pytest.raises(WorkFailed, match=r"cannot be reached.*give cifar100:DIR") as error:
        cifar100(None, "train")
    assert "\n" not in str(error.value)


# --- the real one ----------------------------------------------------------------------------


def test_the_real_data_set(
    shared: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All 60,000 pictures, every class alike. Decoding them takes 5 to 8 seconds on one core."""
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    root = shared / "data" / "cifar100"
    train, val, test = (cifar100(root, split) for split in ("train", "val", "test"))
    assert [len(x) for x in (train, val, test)] == [45_000, 5_000, 10_000]
    for images, each in ((train, 450), (val, 50), (test, 100)):
        assert images.pixels.shape == (len(images), 3, 32, 32)
        assert np.bincount(images.labels).tolist() == [each] * 100
        assert images.classes == CLASSES
    keys = [key for images in (train, val) for key in images.keys]
    assert len(set(keys)) == 50_000
    # Mean and deviation of the official training set, as they are published everywhere.
    levels = np.arange(256) / 255
    for channel, (mean, deviation) in enumerate(
        [(0.5071, 0.2673), (0.4865, 0.2564), (0.4409, 0.2762)]
    ):
        counts = sum(np.bincount(x.pixels[:, channel].ravel(), minlength=256) for x in (train, val))
        share = counts / counts.sum()
        assert share @ levels == pytest.approx(mean, abs=1e-4)
        assert (share @ levels**2 - (share @ levels) ** 2) ** 0.5 == pytest.approx(
            deviation, abs=1e-4
        )
