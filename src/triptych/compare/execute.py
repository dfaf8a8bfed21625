"""Running the cells of a comparison that are missing: one after the other, or over a cluster.

Several processes may work at one folder: a cell in another's hands is left to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from triptych.compare.comparison import Comparison
from triptych.compare.folder import cell, cell_state, failure
from triptych.errors import InUse, Stopped, TriptychError, UserError, WorkFailed
from triptych.recipe import Recipe
from triptych.run import read_result, write_json
from triptych.stats.verdicts import FEWEST_SEEDS
from triptych.stopping import StopRequest
from triptych.study import Study, Train

log = logging.getLogger("triptych")


@dataclass(frozen=True)
class Cell:
    """One arm with one seed."""

    arm: str
    recipe: Recipe
    seed: int
    folder: Path
    """Of its run."""

    @property
    def name(self) -> str:
        return f"{self.arm} seed {self.seed}"


TrainCells = Callable[[Sequence[Cell]], Iterator[tuple[Cell, Exception | None]]]
"""Trains cells in any order and place, and gives each back when it has ended, with what befell it.
An engine is a function of this kind. Raises Stopped where that is asked for."""


class Cluster(Protocol):
    """Machines that cells may be trained on."""

    def cells(
        self, train: Train, *, count: int, device: str, stop: StopRequest, show_progress: bool
    ) -> AbstractContextManager[TrainCells]:
        """Workers for at most `count` cells at once, each trained by `train`."""
        ...


def run_cells(
    folder: Path,
    comparison: Comparison,
    study: Study,
    seeds: tuple[int, ...],
    *,
    decided: Callable[[int], bool] = lambda complete: False,
    check: Callable[[], None] = lambda: None,
    device: str = "auto",
    stop: StopRequest | None = None,
    show_progress: bool = True,
    cluster: Cluster | None = None,
) -> None:
    """Train every cell that has no result, all arms of a seed before the next seed; with a
    `cluster`, cells of several seeds at once, as far as the plan allows.

    `decided(n)` is asked before each seed, with how many come before it; True ends the work. Under
    a sequential plan no seed is begun while an earlier one that could decide is not complete.
    `check()` is called first and after each cell, and may raise where cells are not comparable.
    A cell that fails is recorded beside its folder and the others go on. Raises Stopped where
    `stop` asks for it or other processes still work at cells, UserError for a wrong request, and
    WorkFailed, after all others, where cells failed.
    """
    stop = stop or StopRequest()
    elsewhere: list[Cell] = []
    failed, complete = 0, 0
    check()
    with _engine(folder, comparison, study, seeds, device, stop, show_progress, cluster) as train:
        for batch in _batches(seeds, comparison, at_once=cluster is not None):
            if decided(complete):
                return
            if comparison.until_decided and complete >= FEWEST_SEEDS and (elsewhere or failed):
                break
            complete += len(batch)
            for each, error in train(_missing(folder, comparison, batch)):
                if isinstance(error, InUse):
                    elsewhere.append(each)
                elif isinstance(error, (Stopped, UserError)):
                    raise error
                elif error is not None:
                    log.warning("%s failed: %s", each.name, _note(folder, each, error))
                    failed += 1
                else:
                    failure(folder, each.arm, each.seed).unlink(missing_ok=True)
                check()
    # Others may have ended theirs meanwhile.
    left = [c for c in elsewhere if cell_state(folder, c.arm, c.seed)["state"] != "done"]
    if left:
        raise Stopped(
            f"{len(left)} cells of {folder} are in the hands of other processes; "
            "run the same command again when they have ended"
        )
    if failed:
        raise WorkFailed(
            f"{failed} cells of {folder} failed (the failed.json beside each says why); "
            "the same command runs them again with the same seeds"
        )


def _batches(
    seeds: Sequence[int], comparison: Comparison, *, at_once: bool
) -> Iterator[Sequence[int]]:
    """Seeds that may be trained side by side: under a sequential plan none beyond the next look."""
    first = 1 if not at_once else FEWEST_SEEDS if comparison.until_decided else len(seeds)
    yield seeds[:first]
    yield from ([seed] for seed in seeds[first:])


def _missing(folder: Path, comparison: Comparison, seeds: Sequence[int]) -> list[Cell]:
    return [
        Cell(arm, recipe, seed, cell(folder, arm, seed))
        for seed in seeds
        for arm, recipe in comparison.recipes()
        if cell_state(folder, arm, seed)["state"] != "done"
    ]


def _engine(
    folder: Path,
    comparison: Comparison,
    study: Study,
    seeds: Sequence[int],
    device: str,
    stop: StopRequest,
    show_progress: bool,
    cluster: Cluster | None,
) -> AbstractContextManager[TrainCells]:
    if cluster is None:
        return nullcontext(one_after_another(study.train, device, stop, show_progress))
    count = len(_missing(folder, comparison, seeds))
    return cluster.cells(
        study.train, count=count, device=device, stop=stop, show_progress=show_progress
    )


def one_after_another(
    train: Train, device: str, stop: StopRequest, show_progress: bool
) -> TrainCells:
    """Cells take turns in this process."""

    def turns(cells: Sequence[Cell]) -> Iterator[tuple[Cell, Exception | None]]:
        for each in cells:
            if read_result(each.folder) is not None:
                continue  # by another process meanwhile
            if stop.reason is not None:
                raise Stopped(
                    f"stopped by {stop.reason} before {each.name}; "
                    "run the same command again to go on"
                )
            log.info("%s", each.name)
            try:
                train(
                    each.recipe,
                    each.seed,
                    each.folder,
                    device=device,
                    stop=stop,
                    show_progress=show_progress,
                )
            except Exception as error:
                yield each, error
            else:
                yield each, None

    return turns


def _note(folder: Path, failed: Cell, error: Exception) -> str:
    """Put on record why a cell failed; returns it."""
    text = " ".join(str(error).split()) or "no message"
    reason = text if isinstance(error, TriptychError) else f"{type(error).__name__}: {text}"
    record = failure(folder, failed.arm, failed.seed)
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"error": reason})
    return reason
