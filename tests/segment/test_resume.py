"""A training killed at any moment and started again gives the same bytes as one left alone."""

from __future__ import annotations

import json
import multiprocessing
import random
import runpy
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from triptych.run import newest_checkpoint

MODEL = "model.safetensors"
CHILD = Path(__file__).with_name("resume_child.py")


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, context: multiprocessing.context.ForkServerContext
) -> tuple[dict[str, Any], float]:
    """What a training that was left alone gives, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    _left_alone(folder, context)  # warms the server up
    shutil.rmtree(folder)
    return _left_alone(folder, context)


def _left_alone(
    folder: Path, context: multiprocessing.context.ForkServerContext, *, rich: bool = False
) -> tuple[dict[str, Any], float]:
    started = time.monotonic()
    _start(context, folder, rich=rich).join()
    return outcome(folder), time.monotonic() - started


def _start(
    context: multiprocessing.context.ForkServerContext,
    folder: Path,
    die_at: int = 0,
    *,
    rich: bool = False,
) -> multiprocessing.context.ForkServerProcess:
    given = {"FOLDER": str(folder), "DIE_AT": die_at, "RICHLY": rich}
    process = context.Process(target=runpy.run_path, args=(str(CHILD), given, "resume_child"))
    process.start()
    return process


def outcome(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text())
    assert result.pop("times")["seconds"] > 0
    checkpoint = newest_checkpoint(folder)
    (evaluation,) = (folder / "evaluations").iterdir()
    return {
        "result": result,
        "recipe": (folder / "recipe.json").read_bytes(),
        "metrics": (folder / "metrics.jsonl").read_bytes(),
        "scores": (evaluation / "scores.json").read_bytes(),
        **{p.name: p.read_bytes() for p in checkpoint.glob("*.safetensors")},
    }


def test_two_trainings_give_the_same_bytes(
    tmp_path: Path,
    context: multiprocessing.context.ForkServerContext,
    whole: tuple[dict[str, Any], float],
) -> None:
    process = _start(context, tmp_path / "run")
    process.join()
    assert process.exitcode == 0
    assert outcome(tmp_path / "run") == whole[0]


@pytest.mark.parametrize("attempt", range(2))
def test_killed_at_random_moments(
    tmp_path: Path,
    context: multiprocessing.context.ForkServerContext,
    whole: tuple[dict[str, Any], float],
    attempt: int,
) -> None:
    expected, seconds = whole
    assert _kill_three_times(tmp_path / "run", context, seconds, random.Random(attempt)) > 0
    assert outcome(tmp_path / "run") == expected


def test_killed_at_random_moments_with_all_that_a_recipe_can_ask_for(
    tmp_path: Path, context: multiprocessing.context.ForkServerContext
) -> None:
    expected, seconds = _left_alone(tmp_path / "whole", context, rich=True)
    # The edge head is trained and kept to go on from, the loss's own network is not.
    heads = {n.partition(".")[0] for n in load_file(newest_checkpoint(tmp_path / "whole") / MODEL)}
    assert heads == {"net", "edge_head"}
    begun = _start(context, tmp_path / "run", 55, rich=True)
    begun.join()
    assert begun.exitcode == -signal.SIGKILL
    assert newest_checkpoint(tmp_path / "run").name in ("step-1", "step-2", "step-3")  # of 4
    _kill_three_times(tmp_path / "run", context, seconds, random.Random(0), rich=True)
    assert outcome(tmp_path / "run") == expected


def _kill_three_times(
    folder: Path,
    context: multiprocessing.context.ForkServerContext,
    seconds: float,
    draw: random.Random,
    *,
    rich: bool = False,
) -> int:
    """Train to the end, killed at three random moments of a training that takes `seconds`.

    Returns how many of them came before the end.
    """
    deaths = 0
    for _ in range(3):
        process = _start(context, folder, rich=rich)
        process.join(draw.uniform(0.1, 0.7) * seconds)
        process.kill()
        process.join()
        deaths += process.exitcode == -signal.SIGKILL
    last = _start(context, folder, rich=rich)
    last.join()
    assert last.exitcode == 0
    return deaths


@pytest.mark.parametrize("die_at", [4, 12, 19, 23, 41, 55, 90, 120])
def test_killed_during_a_write(
    tmp_path: Path,
    context: multiprocessing.context.ForkServerContext,
    whole: tuple[dict[str, Any], float],
    die_at: int,
) -> None:
    folder = tmp_path / "run"
    first = _start(context, folder, die_at)
    first.join()
    assert first.exitcode == -signal.SIGKILL
    second = _start(context, folder)
    second.join()
    assert second.exitcode == 0
    assert outcome(folder) == whole[0]
