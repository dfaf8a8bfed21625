"""A comparison killed at any point and run again says the same as one left alone."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triptych import run as run_module
from triptych.compare import Sequential
from triptych.compare.run import compare
from triptych.run import read_json, write_json


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_a_process(work: Callable[[], Any]) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    return process.exitcode


def whole(folder: Path) -> dict[str, bytes]:
    """Everything that a comparison leaves behind, without locks."""
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


@pytest.mark.parametrize(
    ("when", "sequential"), [("early", False), ("inside", False), ("after", True)]
)
def test_killed_at_every_cell_boundary(
    fake: Any, tmp_path: Path, when: str, sequential: bool
) -> None:
    asked = fake.comparison(0.5, 0.55, 0.6)
    if sequential:
        asked = fake.comparison(0.5, 0.55, 0.6, seeds=tuple(range(6)), until_decided=Sequential(6))
    compare(asked, tmp_path / "whole")
    expected = whole(tmp_path / "whole")
    cells = list(fake.calls)
    assert len(cells) == 9
    for cell in cells:
        folder = tmp_path / f"killed-{cell[0]}{cell[1]}"
        fake.acts = {cell: {when: die}}
        assert in_a_process(lambda folder=folder: compare(asked, folder)) == -signal.SIGKILL
        fake.acts = {}
        compare(asked, folder)
        assert whole(folder) == expected, f"killed {when} in {cell}"


def test_killed_at_every_write_of_the_comparison_itself(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(seeds=(0, 1, 2, 3))
    first = fake.comparison()
    compare(first, tmp_path / "whole")
    compare(asked, tmp_path / "whole")
    expected = whole(tmp_path / "whole")

    def work(folder: Path, count: int) -> None:
        """A comparison and its extension, killed before the file operation number `count`."""
        left = count

        def fault(function: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **options: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    die()
                return function(*arguments, **options)

            return wrapped

        for owner, name in (
            (Path, "write_text"), (Path, "replace"), (Path, "mkdir"), (os, "fsync"),
            (os, "unlink"), (run_module, "write_json"),
        ):  # fmt: skip
            setattr(owner, name, fault(getattr(owner, name)))
        compare(first, folder)
        compare(asked, folder)

    died = 0
    # The first operations are the plan's, the last the verdict's; cells are as in test_run.
    for count in [*range(1, 12), *range(20, 400, 29)]:
        folder = tmp_path / f"killed-{count}"
        code = in_a_process(lambda folder=folder, count=count: work(folder, count))
        compare(first, folder)
        compare(asked, folder)
        assert whole(folder) == expected, f"killed at operation {count}"
        if code == 0:
            break
        assert code == -signal.SIGKILL
        died += 1
    assert died > 15


def test_two_processes_share_the_work(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(seeds=tuple(range(8)))
    compare(asked, tmp_path / "alone")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=compare, args=(asked, tmp_path / "c")) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # One that found a cell in another's hands stops, which as a process of its own is an error; on
    # a busy machine that may have happened to all. No cell is left out, and none was made twice.
    assert all(worker.exitcode in (0, 1) for worker in workers)
    fake.calls.clear()
    compare(asked, tmp_path / "c")
    assert fake.calls == []
    assert whole(tmp_path / "c") == whole(tmp_path / "alone")


def test_processes_that_write_the_same_record_do_not_disturb_each_other(tmp_path: Path) -> None:
    file = tmp_path / "verdict.json"

    def write(value: int) -> None:
        for _ in range(200):
            write_json(file, {"value": [value] * 1000})

    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=write, args=(value,)) for value in range(3)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        if file.exists():
            assert len(set(read_json(file)["value"])) == 1
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["verdict.json"]
