"""Cells of a comparison over a cluster: equal to those of one process, whatever dies."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest

from triptych import recipe as recipes
from triptych.compare import Comparison
from triptych.compare.execute import Cell
from triptych.compare.run import compare
from triptych.errors import InUse, Stopped
from triptych.recipe import Recipe
from triptych.run import Run, claimed, read_result
from triptych.stopping import StopRequest

PLAIN = Recipe(name="x/y", model="m", data="d", epochs=6, batch_size=2, lr=0.1)


def comparison(data: Path) -> Comparison:
    settings = ["model=vit-tiny", "epochs=2", f"data=folder:{data}"]
    plain = recipes.override(recipes.get("classify/tiny"), settings)
    return Comparison(
        question="Does a smaller learning rate do as well?",
        arms={"a": plain, "b": recipes.override(plain, ["lr=1e-4"])},
        varies=frozenset({"lr"}),
        seeds=(0, 1),
        metric="top1",
        margin=0.1,
    )


def outcome(folder: Path) -> dict[str, Any]:
    """All that a comparison leaves behind, without the times."""
    found: dict[str, Any] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(file.relative_to(folder))
        if file.suffix == ".json" and file.name != "runtime.json":
            found[name] = json.loads(file.read_text())
            found[name].pop("times", None)
            found[name].get("state", {}).pop("seconds", None)
        elif file.name not in ("runtime.json", ".lock"):
            found[name] = file.read_bytes()
    return found


@pytest.mark.usefixtures("one_thread")
def test_a_node_that_dies_in_a_cell_changes_nothing(
    machines: Any,
    doomed: Callable[[], AbstractContextManager[Callable[[], bool]]],
    data: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from triptych.engines.ray import connected

    asked = comparison(data)
    compare(asked, tmp_path / "local", device="cpu", show_progress=False)

    def lost_a_node(folder: Path) -> bool:
        with connected(machines.address) as cluster, doomed() as died:
            compare(asked, folder, device="cpu", show_progress=False, cluster=cluster)
            return died()

    folders = [tmp_path / f"ray-{number}" for number in range(3)]
    with caplog.at_level(logging.WARNING):
        folder = next(each for each in folders if lost_a_node(each))
    assert any("is done again: its node died" in each.getMessage() for each in caplog.records)
    expected = outcome(tmp_path / "local")
    assert len([name for name in expected if name.endswith("result.json")]) == 4
    assert outcome(folder) == expected
    for file in folder.glob("*/seed-*/runtime.json"):
        assert "worker" not in json.dumps(json.loads(file.read_text())["command"])


def train(
    recipe: Recipe,
    seed: int,
    out: Path,
    *,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
) -> dict[str, Any]:
    """Ends when it is started a second time."""
    with Run.open(out, recipe, seed, {}) as run:
        again = (out / "half").exists()
        (out / "half").write_text("done by half")
        assert stop is not None
        while not again and stop.reason is None:
            time.sleep(0.01)
        if not again:
            raise Stopped(f"stopped by {stop.reason}")
        run.finish({"again": True})
        return {"again": True}


@pytest.mark.usefixtures("sent", "one_thread")
def test_a_stopped_cell_goes_on_and_one_in_use_is_left_alone(machines: Any, tmp_path: Path) -> None:
    from triptych.engines.ray import connected

    cells = [Cell("a", PLAIN, seed, tmp_path / "a" / f"seed-{seed}") for seed in range(2)]
    stop = StopRequest()
    with claimed(cells[1].folder), connected(machines.address) as cluster:
        options = {"count": 1, "device": "cpu", "show_progress": False}
        with cluster.cells(train, stop=stop, **options) as turns:
            found = turns(cells[::-1])
            cell, error = next(found)
            assert cell is cells[1]
            assert isinstance(error, InUse)
            threading.Timer(2, lambda: setattr(stop, "_signal", SIGTERM)).start()
            with pytest.raises(Stopped, match=r"^stopped by SIGTERM, while a seed 0 trained"):
                next(found)
        assert (cells[0].folder / "half").exists()
        assert read_result(cells[0].folder) is None
        with cluster.cells(train, stop=StopRequest(), **options) as turns:
            assert list(turns(cells[:1])) == [(cells[0], None)]
    assert read_result(cells[0].folder) == {"again": True}
    assert not list(tmp_path.rglob("seed-1/*.json"))
