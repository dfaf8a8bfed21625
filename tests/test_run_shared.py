"""A run folder that other processes, other machines and desktops write into too."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from triptych import run as run_module
from triptych.errors import InUse, UserError
from triptych.population.member import Member
from triptych.recipe import Recipe
from triptych.run import Run, write_json

RECIPE = Recipe(name="x/y", model="m", data="camvid:here", epochs=3, batch_size=2, lr=0.1)
DATA = {"train": "abc"}
NEVER = 4194305
"""No process has this number: Linux counts up to 4194304."""


def opened(folder: Path) -> Run:
    return Run.open(folder, RECIPE, 0, DATA)


@pytest.fixture
def flock_says(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have every lock refused with an error of this number."""
    monkeypatch.setattr(run_module, "_LOCKLESS", set())

    def say(number: int) -> None:
        def refuse(*_: Any) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", refuse)

    return say


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_disk_without_locks_is_warned_of_once(
    tmp_path: Path, flock_says: Any, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    flock_says(number)
    with caplog.at_level(logging.WARNING, logger="triptych"):
        for name in ("one", "two"):
            with opened(tmp_path / name):
                assert (tmp_path / name / "recipe.json").exists()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"{tmp_path / 'one'}: its disk has no locks ({os.strerror(number)})")


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_another_has_is_in_use(tmp_path: Path, flock_says: Any, number: int) -> None:
    flock_says(number)
    with pytest.raises(InUse, match="in use by another process"):
        opened(tmp_path)


def test_another_error_of_a_lock_is_told_as_it_is(tmp_path: Path, flock_says: Any) -> None:
    flock_says(errno.EIO)
    with pytest.raises(UserError, match=r"cannot lock .*run: Input/output error") as raised:
        opened(tmp_path / "run")
    assert not isinstance(raised.value, InUse)


def test_another_may_begin_the_run_while_its_folder_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = Path.iterdir

    def begun_meanwhile(folder: Path) -> Any:
        monkeypatch.setattr(Path, "iterdir", listed)
        opened(tmp_path).__exit__(None, None, None)
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", begun_meanwhile)
    with opened(tmp_path):
        pass
    with pytest.raises(UserError, match="its seed is 0, yours is 1"):
        Run.open(tmp_path, RECIPE, 1, DATA)


def test_a_record_in_the_making_elsewhere_is_left_to_its_writer(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {})  # its name below is the one that it used
    file = tmp_path / "a.json"
    mine = run_module._aside(file, NEVER)
    theirs = mine.with_name(mine.name.replace(run_module._host(), "0" * 8))
    strangers = [theirs, *(tmp_path / f".a.json.{n}.part" for n in ("x", "x.1", "0.x"))]
    for each in (mine, *strangers):
        each.write_text("half")
    write_json(file, {"a": 1})
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in (file, *strangers))


def test_an_unfinished_recipe_of_another_machine_is_no_stranger(tmp_path: Path) -> None:
    for name in (f".recipe.json.{NEVER}.part", f".recipe.json.00000000.{NEVER}.part", ".lock"):
        (tmp_path / name).write_text("{")
    with opened(tmp_path):
        assert (tmp_path / "recipe.json").exists()
    (tmp_path / "recipe.json").unlink()
    (tmp_path / ".recipe.json.txt").write_text("mine")
    with pytest.raises(UserError, match=r"holds \.recipe\.json\.txt"):
        opened(tmp_path)


STRANGERS = (".DS_Store", ".nfs0001", ".x.part", ".x.old")


def litter(checkpoints: Path) -> None:
    """What desktops and file systems leave, and what a killed process does."""
    checkpoints.mkdir(parents=True, exist_ok=True)
    for name in STRANGERS:
        (checkpoints / name).write_text("x")
    (checkpoints / ".trash").mkdir()
    for name in (".step-2.part", ".new.part"):
        (checkpoints / name).mkdir()
        (checkpoints / name / "model").write_text("half")


def test_strangers_among_checkpoints_stop_no_run(tmp_path: Path) -> None:
    with opened(tmp_path):
        litter(tmp_path / "checkpoints")
    with opened(tmp_path):
        left = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert left == {*STRANGERS, ".trash"}


def test_strangers_among_checkpoints_stop_no_member(tmp_path: Path) -> None:
    litter(tmp_path / "checkpoints")
    old = tmp_path / "checkpoints" / ".step-1.old"
    old.mkdir()
    (old / "state.json").write_text('{"files": {}}')
    with Member(tmp_path) as member:
        assert member.live() == tmp_path / "checkpoints" / "step-1", "the one before is back"
        member._clear()
    left = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert left == {*STRANGERS, ".trash", "step-1"}
