"""The Ray engine: members of a population and cells of a comparison over a Ray cluster.

A whole cell or interval is done by one worker, on as many threads as it would have where the
command was started, so the results are the same bytes as the local engine's, however many workers
there are and die.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.compare.execute import Cell, TrainCells
from triptych.engines.connect import joined, living_nodes
from triptych.engines.files import Files, pack, recover, replace_folder
from triptych.engines.nodes import Need, need_of
from triptych.engines.pool import Pool
from triptych.engines.worker import Do, Watch
from triptych.population.cluster import Crew, TrainMember, Watching
from triptych.population.member import Member
from triptych.population.records import Hypers
from triptych.population.rounds import Interval
from triptych.progress import bar
from triptych.run import claimed, read_result
from triptych.stopping import StopRequest
from triptych.study import Train


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[RayCluster]:
    """The cluster at HOST:PORT, or the one that this machine is a node of. Raises UserError."""
    with joined(address):
        yield RayCluster()


class RayCluster:
    """A cluster that this process is a driver of."""

    @contextlib.contextmanager
    def members(
        self,
        make: Callable[..., TrainMember],
        given: Sequence[Any],
        *,
        told: Callable[[Interval], Any],
        count: int,
        device: str,
        stop: StopRequest,
        view: Watching,
    ) -> Iterator[Crew]:
        """As `population.cluster.Cluster` says."""
        need = _need(device, count=count, shared=True)
        with Pool(_member_work, (make, *given), count=count, need=need, stop=stop) as pool:

            def train(intervals: Sequence[Interval]) -> Iterator[Interval]:
                jobs = [_MemberJob(interval, told, view) for interval in intervals]
                for job, error in pool.run(jobs):
                    if error is not None:
                        raise error
                    assert isinstance(job, _MemberJob)
                    yield job.interval

            yield Crew(train, {"device": pool.device(), **_record(need)})

    @contextlib.contextmanager
    def cells(
        self, train: Train, *, count: int, device: str, stop: StopRequest, show_progress: bool
    ) -> Iterator[TrainCells]:
        """As `compare.execute.Cluster` says. On GPUs a cell has a whole one, so that the times of
        arms can be compared."""
        need = _need(device, shared=False)
        with (
            Pool(_cell_work, (train,), count=count, need=need, stop=stop) as pool,
            bar("cells", count, unit="cell", show=show_progress) as shown,
        ):

            def turns(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Exception | None]]:
                for job, error in pool.run([_CellJob(cell) for cell in cells]):
                    assert isinstance(job, _CellJob)
                    shown.advance()
                    yield job.cell, error

            yield turns


def _need(device: str, *, count: int = 1, shared: bool) -> Need:
    import torch

    threads = torch.get_num_threads()
    return need_of(device, threads, living_nodes(), count=count, shared=shared)


def _record(need: Need) -> dict[str, Any]:
    import ray

    return {
        "engine": {
            "name": "ray",
            "version": ray.__version__,
            "threads": need.threads,
            "gpus": need.gpus,
        }
    }


@dataclass(frozen=True)
class _MemberWork:
    """An interval without its folder."""

    member: int
    round: int
    start: int
    epoch: int
    hypers: Hypers
    told: Any


@dataclass(eq=False)
class _MemberJob:
    interval: Interval
    told: Callable[[Interval], Any]
    view: Watching
    _shown: ExitStack = field(default_factory=ExitStack)
    _bar: Any = None
    _done: int = 0

    @property
    def name(self) -> str:
        return f"member {self.interval.member} in round {self.interval.round}"

    @property
    def work(self) -> _MemberWork:
        each = self.interval
        told = self.told(each)
        return _MemberWork(each.member, each.round, each.start, each.epoch, each.hypers, told)

    def begin(self) -> Files:
        return pack(self.interval.folder.folder)

    def progress(self, done: int, total: int, note: str) -> None:
        if not total:
            return  # it has not begun
        if self._bar is None:
            shown = self.view.training(self.interval.member, total, done)
            self._bar, self._done = self._shown.enter_context(shown), done
        self._bar.advance(done - self._done, note)
        self._done = done

    def receive(self, files: Files) -> None:
        self.interval.folder.adopt(files)

    def end(self) -> None:
        self._shown.close()
        self._bar = None


def _member_work(make: Callable[..., TrainMember], *given: Any) -> Do:
    """What a worker does with an interval."""
    train = make(*given)

    def do(work: _MemberWork, folder: Path, stop: StopRequest, watch: Watch) -> None:
        with Member(folder) as member:
            member.round = work.round
            interval = Interval(
                work.member, work.round, work.start, work.epoch, work.hypers, member, moved=True
            )
            train(interval, work.told, stop, watch)

    return do


@dataclass(frozen=True)
class _CellWork:
    recipe: Any
    seed: int


@dataclass(eq=False)
class _CellJob:
    cell: Cell
    _claim: ExitStack = field(default_factory=ExitStack)

    @property
    def name(self) -> str:
        return self.cell.name

    @property
    def work(self) -> _CellWork:
        return _CellWork(self.cell.recipe, self.cell.seed)

    def begin(self) -> Files | None:
        recover(self.cell.folder)
        self._claim.enter_context(claimed(self.cell.folder))
        if read_result(self.cell.folder) is not None:
            return None
        return pack(self.cell.folder)

    def progress(self, done: int, total: int, note: str) -> None:
        """A cell's training shows its progress to nobody."""

    def receive(self, files: Files) -> None:
        replace_folder(self.cell.folder, files)

    def end(self) -> None:
        self._claim.close()


def _cell_work(train: Train, device: str) -> Do:
    """What a worker does with a cell."""

    def do(work: _CellWork, folder: Path, stop: StopRequest, watch: Watch) -> None:
        train(work.recipe, work.seed, folder, device=device, stop=stop, show_progress=False)

    return do
