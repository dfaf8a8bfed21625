"""A population killed at any moment and started again gives the same bytes as one left alone."""

from __future__ import annotations

import multiprocessing
import random
import runpy
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHILD = Path(__file__).with_name("pbt_child.py")

Context = multiprocessing.context.ForkServerContext


@pytest.fixture(scope="module")
def data(two_classes: Callable[..., Path]) -> Path:
    return two_classes(train=17, val=12, test=4)


def start(
    context: Context, folder: Path, data: Path, save_every: float = 300, die_at: int = 0
) -> Any:
    given = {
        "FOLDER": str(folder),
        "DATA": str(data),
        "SAVE_EVERY": save_every,
        "DIE_AT": die_at,
    }
    process = context.Process(target=runpy.run_path, args=(str(CHILD), given, "pbt_child"))
    process.start()
    return process


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    context: Context,
    data: Path,
    left_behind: Callable[[Path], dict[str, Any]],
) -> tuple[dict[str, Any], float]:
    """What a population that was left alone leaves behind, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    context.Process(target=int).start()  # the server
    started = time.monotonic()
    start(context, folder, data).join()
    return left_behind(folder), time.monotonic() - started


def test_it_is_a_population_that_takes_over(whole: tuple[dict[str, Any], float]) -> None:
    found = whole[0]
    assert found["result.json"]["population"]["takeovers"] == 2
    checkpoints = {name.rpartition("/")[0] for name in found if "checkpoints" in name}
    assert len(checkpoints) == 4
    assert {"members/0/metrics.jsonl", "lineage.jsonl", "metrics.jsonl", "audit.json"} <= set(found)


@pytest.mark.parametrize("save_every", [300, 0])
def test_killed_at_random_moments(
    tmp_path: Path,
    context: Context,
    data: Path,
    whole: tuple[dict[str, Any], float],
    left_behind: Callable[[Path], dict[str, Any]],
    save_every: float,
) -> None:
    """With checkpoints at the ends of intervals alone, and after every step."""
    expected, seconds = whole
    draw = random.Random(save_every)
    folder = tmp_path / "run"
    deaths = 0
    for _ in range(5):
        process = start(context, folder, data, save_every)
        process.join(draw.uniform(0.2, 0.7) * seconds)
        process.kill()
        process.join()
        deaths += process.exitcode == -signal.SIGKILL
    last = start(context, folder, data, save_every)
    last.join()
    assert last.exitcode == 0
    assert left_behind(folder) == expected
    assert deaths > 0


def test_killed_during_writes(
    tmp_path: Path,
    context: Context,
    data: Path,
    whole: tuple[dict[str, Any], float],
    left_behind: Callable[[Path], dict[str, Any]],
) -> None:
    """Killed again and again, each start at another write, until one start gets through."""
    draw = random.Random(0)
    folder = tmp_path / "run"
    deaths = 0
    for _ in range(60):
        process = start(context, folder, data, die_at=draw.randint(30, 160))
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        deaths += 1
    assert left_behind(folder) == whole[0]
    assert deaths > 1
