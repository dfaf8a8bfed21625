"""The run folder: refusals, checkpoints, and a process killed at every write."""

from __future__ import annotations

import json
import multiprocessing
import os
import runpy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from triptych import run as run_module
from triptych.errors import UserError
from triptych.recipe import Recipe
from triptych.run import Run, newest_checkpoint, read_result, write_json

RECIPE = Recipe(name="x/y", model="m", data="camvid:here", epochs=3, batch_size=2, lr=0.1)
DATA = {"train": "abc", "val": "def"}


@dataclass
class Counter:
    """A state whose file must agree with its counter."""

    step: int = 0

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "weights").write_bytes(bytes([self.step]) * 1000)
        return {"step": self.step}

    def read(self, folder: Path, counters: dict[str, Any]) -> None:
        self.step = counters["step"]
        assert (folder / "weights").read_bytes() == bytes([self.step]) * 1000


def work(folder: Path, steps: int = 6) -> None:
    """A job that logs every step and saves every second one, from wherever it stood."""
    with Run.open(folder, RECIPE, 0, DATA) as run:
        if read_result(folder) is not None:
            return
        state = Counter()
        run.restore(state)
        while state.step < steps:
            state.step += 1
            run.log(state.step, "train", loss=1 / state.step)
            if state.step % 2 == 0:
                run.save(state)
        run.finish({"steps": state.step})


def outcome(folder: Path) -> dict[str, bytes]:
    names = ("recipe.json", "metrics.jsonl", "result.json")
    return {name: (folder / name).read_bytes() for name in names}


def _die_at(count: int, folder: Path) -> None:
    """Do the work, killed by SIGKILL just before the file operation number `count`."""
    operations = [
        (Path, "write_text"), (Path, "write_bytes"), (Path, "rename"), (Path, "replace"),
        (Path, "mkdir"), (Path, "open"), (os, "fsync"), (os, "open"), (os, "unlink"),
        (os, "rmdir"), (os, "truncate"), (run_module.shutil, "rmtree"),
    ]  # fmt: skip
    runpy.run_path(str(Path(__file__).with_name("faults.py")))["die_at"](count, operations)
    work(folder)


def test_killed_at_every_file_operation_gives_the_same_bytes(tmp_path: Path) -> None:
    work(tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    context = multiprocessing.get_context("fork")
    died = 0
    for count in range(1, 1000):
        folder = tmp_path / f"killed-{count}"
        process = context.Process(target=_die_at, args=(count, folder))
        process.start()
        process.join()
        work(folder)
        assert outcome(folder) == expected, f"killed at operation {count}"
        assert not list((folder / "checkpoints").glob(".*"))
        if process.exitcode == 0:
            break
        died += 1
    assert died > 50


def test_only_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    work(tmp_path)
    kept = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-4", "step-6"]
    assert newest_checkpoint(tmp_path).name == "step-6"


@pytest.mark.parametrize("damage", ["truncate", "flip", "state", "remove"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path: Path, damage: str) -> None:
    work(tmp_path)
    (tmp_path / "result.json").unlink()
    weights = tmp_path / "checkpoints" / "step-6" / "weights"
    if damage == "truncate":
        weights.write_bytes(weights.read_bytes()[:-1])
    elif damage == "flip":
        weights.write_bytes(b"\x07" + weights.read_bytes()[1:])
    elif damage == "state":
        (weights.parent / "state.json").write_text('{"state": {"st')
    else:
        weights.unlink()
    state = Counter()
    with Run.open(tmp_path, RECIPE, 0, DATA) as run:
        assert run.restore(state)
    assert state.step == 4
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4]


def test_a_damaged_newest_checkpoint_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work(tmp_path)
    checkpoints = tmp_path / "checkpoints"
    (checkpoints / "step-6" / "weights").write_bytes(b"")
    for _ in range(2):
        assert newest_checkpoint(tmp_path) == checkpoints / "step-4"
    (said,) = caplog.messages
    assert said == f"{checkpoints / 'step-6'} is damaged; taking the one before it"
    (checkpoints / "step-4" / "weights").unlink()
    with pytest.raises(UserError, match="step-6 is damaged, and no checkpoint before it is whole"):
        newest_checkpoint(tmp_path)


def test_metrics_after_the_checkpoint_are_cut_on_resuming(tmp_path: Path) -> None:
    state = Counter(step=2)
    with Run.open(tmp_path, RECIPE, 0, DATA) as run:
        run.log(2, "train", loss=1.0)
        run.save(state)
        run.log(3, "train", loss=0.5)
    with Run.open(tmp_path, RECIPE, 0, DATA) as run:
        run.restore(state)
        run.log(3, "val", mIoU=0.25)
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(x["step"], x["split"]) for x in lines] == [(2, "train"), (3, "val")]


@pytest.mark.parametrize(
    ("recipe", "seed", "data", "message"),
    [
        (replace(RECIPE, lr=0.2), 0, DATA, "its lr is 0.1, yours is 0.2"),
        (RECIPE, 1, DATA, "its seed is 0, yours is 1"),
        (RECIPE, 0, {"train": "abc", "val": "other"}, "has changed"),
        (replace(RECIPE, data="camvid:there"), 0, {"train": "x"}, "its data is camvid:here"),
    ],
)
def test_another_runs_folder_is_refused(
    tmp_path: Path, recipe: Recipe, seed: int, data: dict[str, str], message: str
) -> None:
    with Run.open(tmp_path, RECIPE, 0, DATA):
        pass
    with pytest.raises(UserError, match=message):
        Run.open(tmp_path, recipe, seed, data)


def test_the_same_data_elsewhere_is_the_same_run(tmp_path: Path) -> None:
    with Run.open(tmp_path, RECIPE, 0, DATA):
        pass
    with Run.open(tmp_path, replace(RECIPE, data="camvid:there"), 0, DATA):
        pass


def test_refuses_a_folder_in_use_a_stranger_and_a_file(tmp_path: Path) -> None:
    with (
        Run.open(tmp_path / "run", RECIPE, 0, DATA),
        pytest.raises(UserError, match="in use"),
    ):
        Run.open(tmp_path / "run", RECIPE, 0, DATA)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    with pytest.raises(UserError, match=r"not a run folder.*chapter\.tex"):
        Run.open(tmp_path / "thesis", RECIPE, 0, DATA)
    with pytest.raises(UserError, match="is a file"):
        Run.open(tmp_path / "thesis" / "chapter.tex", RECIPE, 0, DATA)
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "x"


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    with Run.open(tmp_path, RECIPE, 0, DATA):
        pass
    (tmp_path / "recipe.json").write_text('{"recipe": ')
    with pytest.raises(UserError, match=r"recipe\.json is not valid JSON"):
        Run.open(tmp_path, RECIPE, 0, DATA)


def test_records_are_written_whole_and_refuse_nan(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    write_json(file, {"b": 1, "a": 2})
    first = file.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(file, {"a": float("nan")})
    assert file.read_bytes() == first
    write_json(file, {"a": 2, "b": 1})
    assert file.read_bytes() == first
