"""A population killed at any moment and started again gives the same bytes as one left alone."""

from __future__ import annotations

import json
import multiprocessing
import random
import runpy
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

CHILD = Path(__file__).with_name("pbt_child.py")

Context = multiprocessing.context.ForkServerContext


@pytest.fixture(scope="module")
def context() -> Context:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["triptych.classify.study", "timm", "torch._dynamo"])
    return server


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for split, count in (("train", 17), ("val", 12), ("test", 4)):
        for name in ("one", "two"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    return root


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


def outcome(folder: Path) -> dict[str, Any]:
    """All that a population leaves behind, without the times."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if name == "result.json":
            found[name] = json.loads(file.read_text())
            assert found[name].pop("times")["seconds"] > 0
        elif file.name == "state.json":
            found[name] = json.loads(file.read_text())
            assert found[name]["state"].pop("seconds") > 0
        elif name not in ("runtime.json", ".lock"):
            found[name] = file.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, context: Context, data: Path
) -> tuple[dict[str, Any], float]:
    """What a population that was left alone leaves behind, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    context.Process(target=int).start()  # the server
    started = time.monotonic()
    start(context, folder, data).join()
    return outcome(folder), time.monotonic() - started


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
    assert outcome(folder) == expected
    assert deaths > 0


def test_killed_during_writes(
    tmp_path: Path, context: Context, data: Path, whole: tuple[dict[str, Any], float]
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
    assert outcome(folder) == whole[0]
    assert deaths > 1
