"""Folders as bytes: what travels, and that a kill leaves the old one or the new one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from triptych.engines.files import pack, recover, replace_folder, unpack


class Killed(BaseException):
    pass


def contents(folder: Path) -> dict[str, bytes]:
    return {name: bytes(content) for name, content in pack(folder).items()}


def filled(folder: Path, text: str) -> Path:
    for name in ("result.json", "checkpoints/step-4/model", "empty"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("" if name == "empty" else f"{text} {name}")
    return folder


def test_a_folder_travels_but_for_what_is_hidden(tmp_path: Path) -> None:
    folder = filled(tmp_path / "a", "x")
    (folder / ".lock").touch()
    (folder / "checkpoints" / ".step-5.part").mkdir()
    (folder / "checkpoints" / ".step-5.part" / "model").write_text("half")
    unpack(pack(folder), tmp_path / "b")
    found = {str(p.relative_to(tmp_path / "b")) for p in (tmp_path / "b").rglob("*") if p.is_file()}
    assert found == {"result.json", "checkpoints/step-4/model", "empty"}
    assert contents(tmp_path / "b") == contents(folder)


@pytest.mark.parametrize("there", [False, True])
def test_a_kill_leaves_the_old_folder_or_the_new_one(
    tmp_path: Path, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = contents(filled(tmp_path / "new", "new"))
    old = contents(filled(tmp_path / "old", "old")) if there else None
    left, seen = 0, set()
    operations = [(Path, "rename"), (Path, "mkdir"), (os, "fsync"), (shutil, "rmtree")]

    def dying(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return function(*arguments, **options)

        return call

    for count in range(40):
        folder = tmp_path / str(count) / "seed-0"
        folder.parent.mkdir()
        if there:
            filled(folder, "old")
        left = count
        with monkeypatch.context() as patch:
            for owner, name in operations:
                patch.setattr(owner, name, dying(getattr(owner, name)))
            try:
                replace_folder(folder, pack(tmp_path / "new"))
                whole = True
            except Killed:
                whole = False
        recover(folder)
        found = contents(folder) if folder.exists() else None
        assert found in (new, old)
        seen.add(found == new)
        # A second attempt is not hindered by what the first left.
        replace_folder(folder, pack(tmp_path / "new"))
        assert contents(folder) == new
        assert [each.name for each in folder.parent.iterdir()] == ["seed-0"]
        if whole:
            break
    assert whole
    assert seen == {False, True}
