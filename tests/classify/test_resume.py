"""A training killed at any moment and started again gives the same bytes as one left alone."""

from __future__ import annotations

import json
import multiprocessing
import random
import runpy
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from triptych.run import newest_checkpoint

CHILD = Path(__file__).with_name("resume_child.py")
PRECISIONS = ("float32", "bfloat16", "float16")

Context = multiprocessing.context.ForkServerContext


@pytest.fixture(scope="module")
def data(two_classes: Callable[..., Path]) -> Path:
    return two_classes(train=14, val=4, test=6)


def start(context: Context, folder: Path, data: Path, precision: str, die_at: int = 0) -> Any:
    given = {"FOLDER": str(folder), "DATA": str(data), "PRECISION": precision, "DIE_AT": die_at}
    process = context.Process(target=runpy.run_path, args=(str(CHILD), given, "resume_child"))
    process.start()
    return process


def outcome(folder: Path) -> dict[str, Any]:
    """All that a run leaves behind, without the times."""
    result = json.loads((folder / "result.json").read_text())
    assert result.pop("times")["seconds"] > 0
    names = ["recipe.json", "metrics.jsonl", "audit.json", "classes.json"]
    evaluations = [p for p in sorted(folder.glob("evaluations/**/*")) if p.is_file()]
    assert len(evaluations) >= 4
    sheets = [folder / "media" / "sheets" / "augmentation.png"]
    files = [*(folder / name for name in names), *evaluations, *sheets]
    checkpoint = newest_checkpoint(folder)
    return {
        "result": result,
        **{str(p.relative_to(folder)): p.read_bytes() for p in files},
        **{p.name: p.read_bytes() for p in checkpoint.glob("*.safetensors")},
    }


Whole = dict[str, tuple[dict[str, Any], float]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, context: Context, data: Path) -> Whole:
    """By precision: what a training that was left alone gives, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole")
    context.Process(target=int).start()  # the server
    found = {}
    for precision in PRECISIONS:
        started = time.monotonic()
        start(context, folder / precision, data, precision).join()
        found[precision] = outcome(folder / precision), time.monotonic() - started
    return found


def test_everything_that_could_break_it_is_on(whole: Whole) -> None:
    found = whole["bfloat16"][0]
    recipe = json.loads(found["recipe.json"])["recipe"]
    for field in ("mixup", "cutmix", "drop_path", "ema", "erasing", "smoothing"):
        assert recipe[field] > 0
    assert (recipe["repeats"], recipe["trivial"]) == (3, True)
    assert {"model.safetensors", "ema.safetensors", "witness.safetensors"} <= set(found)
    # An epoch of 28 images has 3 batches of 8.
    assert found["result"]["updates"] == 9
    assert json.loads(found["audit.json"])["settings"]["drop_path"]["max"] == pytest.approx(0.2)
    lines = [json.loads(line) for line in found["metrics.jsonl"].splitlines()]
    seen = [(line["split"], line["epoch"]) for line in lines]
    assert seen == [("train", 1), ("train", 2), ("val", 2), ("train", 3), ("val", 3), ("test", 3)]
    assert whole["float32"][0]["model.safetensors"] != found["model.safetensors"]


def test_two_trainings_give_the_same_bytes(
    tmp_path: Path, context: Context, data: Path, whole: Whole
) -> None:
    process = start(context, tmp_path / "run", data, "bfloat16")
    process.join()
    assert process.exitcode == 0
    assert outcome(tmp_path / "run") == whole["bfloat16"][0]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_killed_at_random_moments(
    tmp_path: Path, context: Context, data: Path, whole: Whole, precision: str
) -> None:
    expected, seconds = whole[precision]
    draw = random.Random(precision)
    folder = tmp_path / "run"
    deaths = 0
    for _ in range(4):
        process = start(context, folder, data, precision)
        process.join(draw.uniform(0.2, 0.7) * seconds)
        process.kill()
        process.join()
        deaths += process.exitcode == -signal.SIGKILL
    last = start(context, folder, data, precision)
    last.join()
    assert last.exitcode == 0
    assert outcome(folder) == expected
    assert deaths > 0


@pytest.mark.parametrize(
    ("precision", "die_at"),
    [("float32", 5), ("bfloat16", 17), ("float32", 60), ("bfloat16", 101), ("float32", 170)],
)
def test_killed_during_a_write(
    tmp_path: Path, context: Context, data: Path, whole: Whole, precision: str, die_at: int
) -> None:
    folder = tmp_path / "run"
    first = start(context, folder, data, precision, die_at)
    first.join()
    assert first.exitcode == -signal.SIGKILL
    second = start(context, folder, data, precision)
    second.join()
    assert second.exitcode == 0
    assert outcome(folder) == whole[precision][0]


def test_killed_between_the_evaluation_and_the_result(
    tmp_path: Path, context: Context, data: Path, whole: Whole
) -> None:
    folder = tmp_path / "run"
    start(context, folder, data, "float32").join()
    (folder / "result.json").unlink()
    (folder / "evaluations" / "folder-test" / "items.parquet").unlink()
    start(context, folder, data, "float32").join()
    assert outcome(folder) == whole["float32"][0]
