"""Cells over a cluster: which ones side by side, and the same verdict in the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from triptych.compare import Sequential
from triptych.compare.execute import Cell, TrainCells, one_after_another
from triptych.compare.run import compare
from triptych.errors import InUse, UserError, WorkFailed
from triptych.stopping import StopRequest
from triptych.study import Train


class Backwards:
    """A cluster in this process: the last cell first, and some cells do not get through."""

    def __init__(self, **errors: Exception) -> None:
        self.batches: list[list[str]] = []
        self.counts: list[int] = []
        self._errors = errors

    @contextmanager
    def cells(
        self, train: Train, *, count: int, device: str, stop: StopRequest, show_progress: bool
    ) -> Iterator[TrainCells]:
        self.counts.append(count)

        def turns(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Exception | None]]:
            self.batches.append([cell.name for cell in cells])
            for cell in reversed(cells):
                if (error := self._errors.get(f"{cell.arm}{cell.seed}")) is not None:
                    yield cell, error
                else:
                    yield from one_after_another(train, device, stop, show_progress)([cell])

        yield turns


def test_all_missing_cells_of_a_fixed_plan_are_handed_over_at_once(
    fake: Any, tmp_path: Path
) -> None:
    here = compare(fake.comparison(), tmp_path / "here")
    cluster = Backwards()
    fake.calls.clear()
    there = compare(fake.comparison(), tmp_path / "there", cluster=cluster)
    assert there == here
    assert cluster.batches == [[f"{arm} seed {seed}" for seed in range(3) for arm in "ab"]]
    assert fake.calls[0] == ("b", 2)
    compare(fake.comparison(seeds=(0, 1, 2, 3)), tmp_path / "there", cluster=cluster)
    assert cluster.batches[1] == ["a seed 3", "b seed 3"]
    assert cluster.counts == [6, 2]


def test_a_sequential_plan_looks_as_often_as_without(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison(0.5, 0.515, seeds=tuple(range(8)), until_decided=Sequential(8))
    here = compare(asked, tmp_path / "here")
    trained = len(fake.calls)
    assert trained > 6  # or it would show nothing
    cluster = Backwards()
    fake.calls.clear()
    assert compare(asked, tmp_path / "there", cluster=cluster) == here
    assert len(fake.calls) == trained
    assert [len(batch) for batch in cluster.batches] == [6, *[2] * ((trained - 6) // 2)]


def test_a_cell_that_fails_there_is_on_record(fake: Any, tmp_path: Path) -> None:
    cluster = Backwards(a1=WorkFailed("it was given up"), b2=InUse("in use"))
    with pytest.raises(Exception, match="in the hands of other processes"):
        compare(fake.comparison(), tmp_path, cluster=cluster)
    record = json.loads((tmp_path / "a" / "seed-1.failed.json").read_text())
    assert record == {"error": "it was given up"}
    assert not list(tmp_path.glob("b/*.failed.json"))
    assert len(fake.calls) == 4
    compare(fake.comparison(), tmp_path, cluster=Backwards())
    assert not list(tmp_path.rglob("*.failed.json"))
    with pytest.raises(UserError, match="no such folder"):
        compare(
            fake.comparison(), tmp_path / "x", cluster=Backwards(a0=UserError("no such folder"))
        )
