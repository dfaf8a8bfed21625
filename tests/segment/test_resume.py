"""A training killed at any moment and started again gives the same bytes as one left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triptych import recipe as recipes
from triptych.run import newest_checkpoint

SETTINGS = [
    "data=streets:scenes=3,frames=2,size=64x48",
    "epochs=3",
    "batch_size=2",
    "evaluate_every=1",
]


def work(folder: Path, die_at: int = 0) -> None:
    """Train in a process of its own; with `die_at`, SIGKILL at that many writes."""
    import torch

    from triptych.segment import train as training
    from triptych.segment.recipes import SegmentRecipe

    torch.set_num_threads(1)
    training.SAVE_EVERY_SECONDS = 0  # a checkpoint after every step
    if die_at:
        _inject(die_at)
    recipe = recipes.override(recipes.get("segment/tiny"), SETTINGS)
    assert isinstance(recipe, SegmentRecipe)
    training.train(recipe, 3, folder, device="cpu", show_progress=False)


def _inject(count: int) -> None:
    left = count

    def fault(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapped

    from triptych.training import state

    for owner, name in [
        (Path, "write_text"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
        (os, "fsync"), (os, "unlink"), (os, "rmdir"), (state, "save_file"),
    ]:  # fmt: skip
        setattr(owner, name, fault(getattr(owner, name)))


@pytest.fixture(scope="module")
def context() -> multiprocessing.context.ForkServerContext:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["triptych.segment.train", "triptych.segment.evaluate"])
    return server


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, context: multiprocessing.context.ForkServerContext
) -> tuple[dict[str, Any], float]:
    """What a training that was left alone gives, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    _start(context, folder).join()  # warms the server up
    shutil.rmtree(folder)
    started = time.monotonic()
    _start(context, folder).join()
    return outcome(folder), time.monotonic() - started


def _start(
    context: multiprocessing.context.ForkServerContext, folder: Path, die_at: int = 0
) -> multiprocessing.context.ForkServerProcess:
    process = context.Process(target=work, args=(folder, die_at))
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


@pytest.mark.parametrize("attempt", range(3))
def test_killed_at_random_moments(
    tmp_path: Path,
    context: multiprocessing.context.ForkServerContext,
    whole: tuple[dict[str, Any], float],
    attempt: int,
) -> None:
    expected, seconds = whole
    draw = random.Random(attempt)
    folder = tmp_path / "run"
    deaths = 0
    for _ in range(4):
        process = _start(context, folder)
        process.join(draw.uniform(0.2, 1.0) * seconds)
        process.kill()
        process.join()
        deaths += process.exitcode == -signal.SIGKILL
    last = _start(context, folder)
    last.join()
    assert last.exitcode == 0
    assert outcome(folder) == expected
    assert deaths > 0


@pytest.mark.parametrize("die_at", [3, 11, 16, 21, 23, 27, 31, 38, 44, 57, 80, 110])
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
