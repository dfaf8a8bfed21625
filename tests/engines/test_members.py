"""A population over a cluster, one of whose nodes dies, equals one trained in one process."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from triptych import recipe as recipes
from triptych.classify.study import STUDY
from triptych.errors import Stopped
from triptych.stopping import StopRequest

SETTINGS = ["model=vit-tiny", "members=3", "epochs=4", "interval=2", "ema=0.9", "repeats=2"]


def recipe_of(data: Path, *settings: str) -> Any:
    plain = recipes.get("classify/tiny-pbt")
    return recipes.override(plain, [*SETTINGS, f"data=folder:{data}", *settings])


@pytest.fixture(scope="module")
def local(
    tmp_path_factory: pytest.TempPathFactory,
    data: Path,
    left_behind: Callable[[Path], dict[str, Any]],
) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("local") / "run"
    STUDY.train(recipe_of(data), 3, folder, device="cpu", show_progress=False)
    found = left_behind(folder)
    assert found["result.json"]["population"]["takeovers"] == 1
    return found


@pytest.mark.usefixtures("one_thread")
def test_a_node_that_dies_in_an_interval_loses_nothing(
    machines: Any,
    doomed: Callable[[], AbstractContextManager[Callable[[], bool]]],
    data: Path,
    local: dict[str, Any],
    left_behind: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is more, a member was stopped in this process after a step, and goes on there."""
    from triptych.engines.ray import connected

    recipe = recipe_of(data)
    train = STUDY.over(recipe)
    assert train is not None

    def lost_a_node(folder: Path) -> bool:
        with pytest.raises(Stopped, match="while member 0 trained"):
            STUDY.train(
                recipe, 3, folder, device="cpu", stop=StopRequest(1e-9), show_progress=False
            )
        with connected(machines.address) as cluster, doomed() as died:
            train(recipe, 3, folder, cluster=cluster, device="cpu", show_progress=False)
            return died()

    folders = [tmp_path / f"run-{number}" for number in range(3)]
    with caplog.at_level(logging.WARNING):
        folder = next(each for each in folders if lost_a_node(each))
    assert any("is done again: its node died" in each.getMessage() for each in caplog.records)
    assert left_behind(folder) == local
    runtime = json.loads((folder / "runtime.json").read_text())
    assert runtime["engine"]["name"] == "ray"
    assert runtime["engine"]["threads"] == 1
    assert runtime["device"].startswith("cpu, 1 threads")
