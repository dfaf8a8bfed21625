"""Where no cluster is: one line each, soon; and who needs no Ray has none."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from triptych import cli

TINY = "train classify/tiny-pbt --engine ray"


@pytest.fixture
def mute() -> Iterator[int]:
    """A port where something listens that never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def said(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a command that was wrong."""
    assert cli.main(line.split()) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert streams.err.count("\n") == 1
    return streams.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{TINY} --address 127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1; start one"),
        (f"{TINY} --address 127.0.0.1:99999", "no Ray cluster answers at 127.0.0.1:99999"),
        (f"{TINY} --address ray://10.0.0.1:10001", "write it as HOST:PORT, such as 10.0.0.1:6379"),
        (f"{TINY} --address", "requires an argument"),
        ("train classify/tiny-pbt --address 10.0.0.1:6379", "add --engine ray"),
        ("train classify/tiny --engine ray", "classify/tiny is one model: leave it out"),
        ("train segment/tiny --engine ray", "segment/tiny is one model: leave it out"),
        ("train classify/tiny-pbt --engine dask", "'dask' is not one of"),
        (
            "compare classify/tiny classify/tiny:lr=1 --varies lr --metric top1 --margin 0.1 "
            "--engine ray --address 127.0.0.1:1",
            "no Ray cluster answers at 127.0.0.1:1",
        ),
    ],
)
def test_one_line_says_what_is_wrong(
    line: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    assert message in said(f"{line} --out {tmp_path / 'run'}" if line[-1] != "s" else line, capsys)
    assert not (tmp_path / "run").exists()


def test_what_answers_but_is_no_ray_is_told_soon(
    mute: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("triptych.engines.connect.ANSWERS_WITHIN", 0.2)
    started = time.monotonic()
    assert "no Ray cluster answers at" in said(f"{TINY} --address 127.0.0.1:{mute}", capsys)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{mute}")
    assert f"127.0.0.1:{mute}" in said(TINY, capsys)
    assert time.monotonic() - started < 30


def test_no_worker_gets_an_environment_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where Ray was imported before it could be told so."""
    ray = pytest.importorskip("ray")
    from ray._private import ray_constants as constants

    seen: list[bool] = []

    def init(**_: object) -> None:
        seen.append(constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV)
        raise ConnectionError

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)
    assert "no Ray cluster runs on this machine" in said(TINY, capsys)
    assert seen == [False]
    assert constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV is True


def test_without_ray_it_is_said_which_extra_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install 'triptych[ray]'" in said(f"{TINY} --address 10.0.0.1:6379", capsys)


def test_the_local_engine_needs_no_ray(data: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "sys.modules['ray'] = None\n"
        "from triptych import cli\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    line = (
        "train classify/tiny-pbt --engine local --device cpu --set members=2 --set epochs=1 "
        f"--set model=vit-tiny --set data=folder:{data} --out {tmp_path / 'run'}"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *line.split()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "result.json").exists()
