"""Shared by all tests: where real data and weights lie, where there are any."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: workers with as many threads each as there are cores take turns.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: tests of processes and clusters mostly wait."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """One worker runs a whole file, and all of a folder's that cannot stand beside each other."""
    for item in items:
        together = "engines" if "engines" in item.path.parts else str(item.path)
        item.add_marker(pytest.mark.xdist_group(together))


# One server a process, whichever test starts it: children have all that any training imports.
multiprocessing.set_forkserver_preload(
    [
        "triptych.classify.study",
        "triptych.compare.run",
        "triptych.data.streets",
        "triptych.detect.models.from_timm",
        "triptych.detect.train",
        "triptych.segment.inverse.train",
        "triptych.segment.models.heads_on_trunk",
        "triptych.segment.models.lite_trunk",
        "triptych.segment.train",
        "torch._dynamo",
        "pandas",  # which pyarrow looks for at its first table
        "pyarrow.parquet",
    ]
)


@pytest.fixture(scope="session")
def context() -> multiprocessing.context.ForkServerContext:
    """Starts children that are killed."""
    return multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module")
def mine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python file with models of the user's own: a test module's SOURCE."""
    file = tmp_path_factory.mktemp("nets") / "mine.py"
    file.write_text(request.module.SOURCE)
    return str(file)


@pytest.fixture(autouse=True)
def _signals_as_they_were() -> Iterator[None]:
    """A command that runs in this process obeys one signal and ignores the next ones."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    yield
    for each, handler in before.items():
        if handler is not None:  # as where it is not Python's
            signal.signal(each, handler)


@pytest.fixture(scope="session")
def shared() -> Path:
    """A folder with real data and weights beside the repository; skips where there is none."""
    default = Path(__file__).parents[1].parent / "shared"
    folder = Path(os.environ.get("TRIPTYCH_SHARED", default))
    if not (folder / "data").is_dir():
        pytest.skip("needs real data: a folder named by TRIPTYCH_SHARED")
    return folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's cache."""
    if "TRIPTYCH_CACHE" not in os.environ:
        monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def two_classes(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a new folder of 16x16 pictures of two classes, so many of each in each split."""

    def made(**splits: int) -> Path:
        root = tmp_path_factory.mktemp("data")
        draw = np.random.default_rng(0)
        for split, count in splits.items():
            for name in ("one", "two"):
                (root / split / name).mkdir(parents=True)
                for number in range(count):
                    pixels = draw.integers(0, 256, (16, 16, 3), np.uint8)
                    Image.fromarray(pixels).save(root / split / name / f"{number}.png")
        return root

    return made


@pytest.fixture(scope="session")
def left_behind() -> Callable[[Path], dict[str, Any]]:
    """All that a population leaves behind in its run folder, without the times."""

    def outcome(folder: Path) -> dict[str, Any]:
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

    return outcome
