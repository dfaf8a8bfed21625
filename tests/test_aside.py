"""Folders to work in: gone afterwards, also those of processes that were killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.aside import aside, check_writable, made


def test_is_hidden_beside_its_target_and_goes(tmp_path: Path) -> None:
    with aside(tmp_path / "a.xml") as part:
        (part / "file").write_text("half")
        assert part.parent == tmp_path
        assert part.name.startswith(".")
    with pytest.raises(KeyboardInterrupt), aside(tmp_path / "a.xml") as part:
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_orphans_of_dead_processes_go(tmp_path: Path) -> None:
    """One is killed in the middle, another goes on; a third had our number."""
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from triptych.aside import aside\n"
        f"with aside(Path({str(tmp_path / 'a[1].xml')!r})) as part:\n"
        "    (part / 'file').write_text('half')\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    killed, alive = (
        subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    )
    for process in (killed, alive):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    killed.kill()
    killed.wait()
    (tmp_path / f".a[1].xml.{os.getpid()}.part").mkdir()
    for name in (".a[1].xml.mine.part", ".b.xml.1.part"):
        (tmp_path / name).mkdir()
    with aside(tmp_path / "a[1].xml") as part:
        assert not list(part.iterdir())
    left = {path.name for path in tmp_path.iterdir()}
    alive.communicate(b"")
    assert left == {f".a[1].xml.{alive.pid}.part", ".a[1].xml.mine.part", ".b.xml.1.part"}


def failing(folder: Path, file: str | None = None) -> None:
    with made(folder):
        assert folder.is_dir()
        if file is not None:
            (folder / file).write_text("")
        raise ValueError("it failed")


def test_what_was_made_goes_where_it_failed(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    # Neither what was there before nor what holds something.
    for folder, file in ((there / "a" / "b", None), (there, None), (there / "c", "file")):
        with pytest.raises(ValueError, match="it failed"):
            failing(folder, file)
    with made(there / "d"):
        pass
    assert {path.name for path in there.iterdir()} == {"c", "d"}


def test_asking_makes_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        check_writable(tmp_path / "file" / "a" / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
