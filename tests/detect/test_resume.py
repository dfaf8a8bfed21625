"""A training killed at any moment and started again gives the same bytes as one left alone."""

from __future__ import annotations

import json
import random
import runpy
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from triptych.run import newest_checkpoint

CHILD = Path(__file__).with_name("resume_child.py")


@pytest.fixture(scope="module")
def data(boxed: Callable[..., Path]) -> str:
    return f"vocxml:{boxed(train=4, val=2)}"


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, context: ForkServerContext, data: str
) -> dict[str, Any]:
    """What a training that was left alone gives."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    _start(context, folder, data).join()
    return outcome(folder)


def _start(
    context: ForkServerContext, folder: Path, data: str, die_at: int = 0
) -> ForkServerProcess:
    given = {"FOLDER": str(folder), "DATA": data, "DIE_AT": die_at}
    process = context.Process(
        target=runpy.run_path, args=(str(CHILD), given, "detect_resume_child")
    )
    process.start()
    return process


def outcome(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text())
    assert result.pop("times")["seconds"] > 0
    (evaluation,) = (folder / "evaluations").iterdir()
    kept = ("recipe.json", "metrics.jsonl", "audit.json", "init.json", "classes.json")
    return {
        "result": result,
        "scores": (evaluation / "scores.json").read_bytes(),
        **{name: (folder / name).read_bytes() for name in kept},
        **{p.name: p.read_bytes() for p in newest_checkpoint(folder).glob("*.safetensors")},
    }


def test_killed_at_random_moments(
    tmp_path: Path, context: ForkServerContext, data: str, whole: dict[str, Any]
) -> None:
    folder, draw = tmp_path / "run", random.Random(0)
    for step in (1, 2, 4):
        process = _start(context, folder, data)
        while process.is_alive() and not (folder / "checkpoints" / f"step-{step}").exists():
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.05))
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    last = _start(context, folder, data)
    last.join()
    assert last.exitcode == 0
    assert outcome(folder) == whole


@pytest.mark.parametrize("die_at", [5, 24, 60, 95])
def test_killed_during_a_write(
    tmp_path: Path,
    context: ForkServerContext,
    data: str,
    whole: dict[str, Any],
    die_at: int,
) -> None:
    folder = tmp_path / "run"
    first = _start(context, folder, data, die_at)
    first.join()
    assert first.exitcode == -signal.SIGKILL
    second = _start(context, folder, data)
    second.join()
    assert second.exitcode == 0
    assert outcome(folder) == whole
