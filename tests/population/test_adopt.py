"""A member trained elsewhere: its folder here becomes what it would have become here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych.errors import WorkFailed
from triptych.population.member import Member
from triptych.population.records import Outcome

HYPERS = {"lr": 1e-4, "batch": 2}


class Killed(BaseException):
    pass


def train(folder: Path, light: ModuleType, round: int, *, half: bool) -> None:
    """Two epochs, or the first of them, from where the folder stands."""
    with Member(folder) as member:
        member.round = round
        state = light.Weights()
        member.restore(state)
        state.hypers = dict(HYPERS)
        while state.epoch < 2 * round:
            state.update(0)
            member.log(state.step, "train", epoch=state.epoch, value=state.value[:6], odd=0.1 + 0.2)
            if half:
                member.save(state)
                return
        member.finish(state, Outcome(state.score(), 4, 8))


def elsewhere(folder: Path, light: ModuleType, round: int, *, half: bool) -> dict[str, bytes]:
    """The files of the member's folder after it was trained in another place."""
    other = folder.with_name("elsewhere")
    shutil.copytree(folder, other)
    train(other, light, round, half=half)
    files = light.outcome(other)
    shutil.rmtree(other)
    return dict(files)


WORK = [(1, True), (1, False), (2, False)]
"""(round, whether only half of its interval)."""


@pytest.fixture
def expected(tmp_path: Path, light: ModuleType) -> list[dict[str, bytes]]:
    """The files after each piece of work done here."""
    found = []
    for round, half in WORK:
        train(tmp_path / "here", light, round, half=half)
        found.append(light.outcome(tmp_path / "here"))
    return found


def test_it_equals_training_here(
    tmp_path: Path, light: ModuleType, expected: list[dict[str, bytes]]
) -> None:
    folder = tmp_path / "member"
    with Member(folder) as member:
        for (round, half), after in zip(WORK, expected, strict=True):
            member.adopt(elsewhere(folder, light, round, half=half))
            assert light.outcome(folder) == after
            assert (member.outcome(round) is None) == half


def test_a_kill_leaves_a_member_that_goes_on(
    tmp_path: Path,
    light: ModuleType,
    expected: list[dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left = 0

    def dying(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return function(*arguments, **options)

        return call

    operations = [
        (Path, "rename"), (Path, "mkdir"), (Path, "write_bytes"), (os, "fsync"), (shutil, "rmtree"),
    ]  # fmt: skip
    start = tmp_path / "start"
    train(start, light, 1, half=False)
    states = set()
    for count in range(60):
        folder = tmp_path / str(count)
        shutil.copytree(start, folder)
        files = elsewhere(folder, light, 2, half=False)
        whole = True
        with Member(folder) as member:
            left = count
            with monkeypatch.context() as patch:
                for owner, name in operations:
                    patch.setattr(owner, name, dying(getattr(owner, name)))
                try:
                    member.adopt(files)
                except Killed:
                    whole = False
        with Member(folder) as member:
            states.add(member.outcome(2) is None)
            if member.outcome(2) is None:
                member.adopt(elsewhere(folder, light, 2, half=False))
        assert light.outcome(folder) == expected[-1]
        if whole:
            break
    assert whole
    assert states == {False, True}


def test_what_arrived_damaged_changes_nothing(tmp_path: Path, light: ModuleType) -> None:
    folder = tmp_path / "member"
    train(folder, light, 1, half=False)
    before = light.outcome(folder)
    with Member(folder) as member:
        files = elsewhere(folder, light, 2, half=False)
        (weights,) = [name for name in files if name.endswith("weights")]
        with pytest.raises(WorkFailed, match=r"what arrived for .*member is damaged"):
            member.adopt(files | {weights: b"other"})
        member.adopt({})  # it had not begun
    with Member(folder):
        assert light.outcome(folder) == before
