"""Files of weights: where they are found, which are refused, and that nothing in them runs."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pickle
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from triptych.data.download import Patience
from triptych.errors import UserError, WorkFailed
from triptych.weights import SHIPPED, Published, fetch, find, load, weights_folders

CONTENT = b"weights of a model"
QUICK = Patience(timeout=2, tries=2, pause=0.01)
PUBLISHED = Published(
    file="model.safetensors",
    address=None,
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="MIT",
    claimed={"mIoU": 0.5},
    claimed_on="Cityscapes val",
    source="a test",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TRIPTYCH_WEIGHTS", raising=False)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address it is served at."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def test_named_folders_come_before_the_cache(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", os.pathsep.join([str(tmp_path / "a"), "", "b"]))
    assert weights_folders() == [tmp_path / "a", Path("b"), SHIPPED, cache]
    cache.mkdir(parents=True)
    (cache / PUBLISHED.file).write_bytes(CONTENT)
    assert find(PUBLISHED) == cache / PUBLISHED.file
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / PUBLISHED.file).write_bytes(CONTENT)
    assert find(PUBLISHED) == tmp_path / "a" / PUBLISHED.file


def test_a_file_with_another_digest_is_named_and_passed_over(
    cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("triptych"), "propagate", True)
    cache.mkdir(parents=True)
    (cache / PUBLISHED.file).write_bytes(b"something else")
    assert find(PUBLISHED) is None
    assert f"{cache / PUBLISHED.file} is passed over" in caplog.text


def test_fetching_downloads_once(served: tuple[Path, str], cache: Path) -> None:
    folder, address = served
    (folder / "m").write_bytes(CONTENT)
    wanted = replace(PUBLISHED, address=f"{address}/m")
    assert fetch(wanted, patience=QUICK) == cache / PUBLISHED.file
    assert (cache / PUBLISHED.file).read_bytes() == CONTENT
    (folder / "m").unlink()
    assert fetch(wanted, patience=QUICK) == cache / PUBLISHED.file


def test_fetching_replaces_a_wrong_file_of_the_cache(served: tuple[Path, str], cache: Path) -> None:
    folder, address = served
    (folder / "m").write_bytes(CONTENT)
    cache.mkdir(parents=True)
    (cache / PUBLISHED.file).write_bytes(b"something else")
    fetch(replace(PUBLISHED, address=f"{address}/m"), patience=QUICK)
    assert (cache / PUBLISHED.file).read_bytes() == CONTENT


def test_a_wrong_file_is_refused(served: tuple[Path, str], cache: Path) -> None:
    folder, address = served
    (folder / "m").write_bytes(b"<html>log in first</html>")
    with pytest.raises(
        WorkFailed, match=f"/m is not the file .* expected sha256 {PUBLISHED.sha256}"
    ):
        fetch(replace(PUBLISHED, address=f"{address}/m"), patience=QUICK)
    assert list(cache.iterdir()) == []


class TestTheFirstDigitsOfADigest:
    """Where the authors published no more than the beginning of the sha256."""

    BEGUN = replace(PUBLISHED, sha256=str(PUBLISHED.sha256)[:8])

    def test_the_file_is_found_and_another_is_not(
        self, cache: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(logging.getLogger("triptych"), "propagate", True)
        cache.mkdir(parents=True)
        (cache / PUBLISHED.file).write_bytes(CONTENT)
        assert find(self.BEGUN) == cache / PUBLISHED.file
        (cache / PUBLISHED.file).write_bytes(b"something else")
        assert find(self.BEGUN) is None
        assert f"its sha256 is not {self.BEGUN.sha256}" in caplog.text

    def test_a_download_is_checked_and_goes_on(
        self, served: tuple[Path, str], cache: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder, address = served
        (folder / "m").write_bytes(CONTENT)
        wanted = replace(self.BEGUN, address=f"{address}/m")
        cache.mkdir(parents=True)
        (cache / f"{PUBLISHED.file}.part").write_bytes(CONTENT[:5])
        assert fetch(wanted, patience=QUICK).read_bytes() == CONTENT
        assert "could not be checked" not in caplog.text
        (cache / PUBLISHED.file).unlink()
        (folder / "m").write_bytes(b"<html>log in first</html>")
        with pytest.raises(WorkFailed, match=f"/m is not the file .* sha256 {self.BEGUN.sha256}, "):
            fetch(wanted, patience=QUICK)
        assert list(cache.iterdir()) == []

    @pytest.mark.parametrize("sha256", ["", "2376f12", "2376F12B", "2376f12g", "a" * 65])
    def test_too_few_digits_or_none_are_a_mistake_in_the_registry(self, sha256: str) -> None:
        with pytest.raises(ValueError, match="no sha256 nor its first digits"):
            replace(PUBLISHED, sha256=sha256)


def test_an_unknown_digest_is_said(
    served: tuple[Path, str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("triptych"), "propagate", True)
    folder, address = served
    (folder / "m").write_bytes(CONTENT)
    fetch(replace(PUBLISHED, address=f"{address}/m", sha256=None), patience=QUICK)
    assert f"could not be checked, its digest was never published: sha256 {PUBLISHED.sha256}" in (
        caplog.text
    )


def test_a_file_without_address_says_how_to_bring_it() -> None:
    with pytest.raises(
        UserError, match=r"cannot be downloaded: put it .*TRIPTYCH_WEIGHTS.*--weights"
    ):
        fetch(PUBLISHED)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_pytorch_files_load(tmp_path: Path, legacy: bool, nested: bool) -> None:
    weights = {"layer.weight": torch.randn(3, 2)}
    content = {"state_dict": weights, "epoch": 7} if nested else weights
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    got = load(tmp_path / "w.pth")
    inner = got["state_dict"] if nested else got
    assert torch.equal(inner["layer.weight"], weights["layer.weight"])  # type: ignore[index]


def test_safetensors_load_whatever_the_ending(tmp_path: Path) -> None:
    weights = {"layer.weight": torch.randn(3, 2)}
    save_file(weights, tmp_path / "w.bin")
    assert torch.equal(load(tmp_path / "w.bin")["layer.weight"], weights["layer.weight"])  # type: ignore[arg-type]


@pytest.mark.parametrize("legacy", [False, True])
def test_numpys_objects_beside_the_weights_are_left_out(tmp_path: Path, legacy: bool) -> None:
    content = {
        "state_dict": {"layer.weight": torch.ones(3)},
        "meta": {"best": np.float64(0.5), "history": np.arange(3), "kind": np.dtype("f4")},
    }
    torch.save(content, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    got = load(tmp_path / "w.pth")
    assert torch.equal(got["state_dict"]["layer.weight"], torch.ones(3))  # type: ignore[index]
    kinds = {type(value) for value in got["meta"].values()}  # type: ignore[attr-defined]
    assert {kind.__module__ for kind in kinds} == {"triptych.weights"}


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle", "protocol 0"])
def test_code_in_a_pickle_never_runs(tmp_path: Path, how: str) -> None:
    trap, path = tmp_path / "ran", tmp_path / "w.pth"
    content = {"layer.weight": torch.zeros(1), "trap": Bomb(trap)}
    if how in ("torch", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    else:
        path.write_bytes(pickle.dumps(Bomb(trap), protocol=2 if how == "pickle" else 0))
    with pytest.raises(UserError, match=r"w\.pth") as error:
        load(path)
    assert not trap.exists()
    assert "\n" not in str(error.value)
    if how in ("torch", "legacy"):
        assert "holds code besides weights and is not loaded" in str(error.value)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 no archive", b"\x80\x02.", b"text", b"\0" * 99]
)
def test_what_is_no_weights_is_one_clear_line(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"w.{ending}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"w\.{ending} ") as error:
        load(path)
    assert "\n" not in str(error.value)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    for ending in ("pth", "safetensors"):
        path = tmp_path / f"w.{ending}"
        weights = {"layer.weight": torch.randn(300, 20)}
        torch.save(weights, path) if ending == "pth" else save_file(weights, path)
        path.write_bytes(path.read_bytes()[:9000])
        with pytest.raises(UserError, match="is damaged"):
            load(path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds a list, not weights by name"):
        load(tmp_path / "list.pth")
    module = torch.jit.script(torch.nn.Linear(2, 2))
    torch.jit.save(module, tmp_path / "script.pt")
    with pytest.raises(UserError, match=r"script\.pt"):
        load(tmp_path / "script.pt")
    with pytest.raises(UserError, match=r"none\.pth: weights cannot be read \(No such file"):
        load(tmp_path / "none.pth")
