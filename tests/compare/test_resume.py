"""Real trainings: a comparison killed again and again ends with the same verdict."""

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

CHILD = Path(__file__).with_name("compare_child.py")

Context = multiprocessing.context.ForkServerContext


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two classes, 16x16, that a network learns to tell apart only partly."""
    root = tmp_path_factory.mktemp("data") / "pictures"
    draw = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 8), ("test", 16)):
        for index, name in enumerate(("dark", "light")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = draw.normal(110 + 30 * index, 60, (16, 16, 3)).clip(0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return root


def start(context: Context, folder: Path, data: Path) -> Any:
    given = {"FOLDER": str(folder), "DATA": str(data)}
    process = context.Process(target=runpy.run_path, args=(str(CHILD), given, "compare_child"))
    process.start()
    return process


def outcome(folder: Path) -> dict[str, Any]:
    """The verdict and every run's records, without the times."""
    verdict = json.loads((folder / "verdict.json").read_text())
    assert all(len(seconds) == 3 for seconds in verdict.pop("times").values())
    found: dict[str, Any] = {"verdict": verdict}
    results = sorted(folder.glob("*/seed-*/result.json"))
    assert len(results) == 6
    for file in results:
        result = json.loads(file.read_text())
        assert result.pop("times")["seconds"] > 0
        run = file.parent
        found[f"{run.parent.name} {run.name}"] = (
            result,
            (run / "recipe.json").read_bytes(),
            (run / "metrics.jsonl").read_bytes(),
            (run / "audit.json").read_bytes(),
        )
    return found


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, context: Context, data: Path
) -> tuple[dict[str, Any], float]:
    """What a comparison that was left alone gives, and how long it takes."""
    context.Process(target=int).start()  # the server
    folder = tmp_path_factory.mktemp("whole") / "c"
    started = time.monotonic()
    process = start(context, folder, data)
    process.join()
    assert process.exitcode == 0
    return outcome(folder), time.monotonic() - started


def test_it_is_a_verdict_worth_comparing(whole: tuple[dict[str, Any], float]) -> None:
    verdict = whole[0]["verdict"]
    assert verdict["pairs"][0]["interval"] is not None
    assert verdict["arms"]["tiny"]["n"] == 3
    assert {line["finding"] for line in verdict["audit"]} == {"fair"}


@pytest.mark.parametrize("attempt", range(2))
def test_killed_at_random_moments(
    tmp_path: Path,
    context: Context,
    data: Path,
    whole: tuple[dict[str, Any], float],
    attempt: int,
) -> None:
    expected, seconds = whole
    draw = random.Random(attempt)
    folder = tmp_path / "c"
    deaths = 0
    # By what is done, not by the clock alone: the machine may be busier or idler than before.
    for done in sorted(draw.choices(range(5), k=4)):
        process = start(context, folder, data)
        while process.is_alive() and len(list(folder.glob("*/seed-*/result.json"))) < done:
            time.sleep(0.01)
        process.join(draw.uniform(0.01, 0.1) * seconds)
        process.kill()
        process.join()
        deaths += process.exitcode == -signal.SIGKILL
    last = start(context, folder, data)
    last.join()
    assert last.exitcode == 0
    assert outcome(folder) == expected
    assert deaths > 1


def test_sigterm_ends_with_code_3_and_the_same_command_goes_on(
    tmp_path: Path, context: Context, data: Path, whole: tuple[dict[str, Any], float]
) -> None:
    folder = tmp_path / "c"
    process = start(context, folder, data)
    while process.is_alive() and not list(folder.glob("*/seed-*/checkpoints/step-*")):
        time.sleep(0.01)
    process.terminate()
    process.join()
    assert process.exitcode == 3
    assert len(list(folder.glob("*/seed-*/result.json"))) < 6
    last = start(context, folder, data)
    last.join()
    assert last.exitcode == 0
    assert outcome(folder) == whole[0]
