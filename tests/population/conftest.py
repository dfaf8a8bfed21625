"""A population without torch, so that whole runs take milliseconds; training it is hashing."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych.population.lineage import Lineage
from triptych.population.live import live
from triptych.population.member import Member
from triptych.population.records import Outcome
from triptych.population.rounds import Interval, Train, one_after_another, run_rounds
from triptych.population.space import Choice, LogUniform, Space
from triptych.recipe import Recipe
from triptych.run import Run, read_result

SPACE = Space({"lr": LogUniform(1e-6, 1e-3), "batch": Choice((1, 2, 4))})
RECIPE = Recipe(name="x/y", model="m", data="camvid:here", epochs=6, batch_size=2, lr=0.1)


@pytest.fixture
def light() -> ModuleType:
    return sys.modules[__name__]


@dataclass
class Weights:
    """A state whose file must agree with its counters."""

    value: str = "first"
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    hypers: dict[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "weights").write_text(self.value)
        return dataclasses.asdict(self)

    def read(self, folder: Path, counters: dict[str, Any]) -> None:
        for key, value in counters.items():
            setattr(self, key, value)
        assert (folder / "weights").read_text() == self.value

    def score(self) -> float:
        return int(self.value[:6], 16) / 2**24

    def update(self, member: int) -> None:
        text = f"{self.value} {member} {sorted(self.hypers.items())}"
        self.value = hashlib.sha256(text.encode()).hexdigest()
        self.epoch += 1
        self.step += int(self.hypers["batch"])
        self.seconds += member + 1


Score = Callable[[Interval, Weights], float | None]


def own_score(_: Interval, state: Weights) -> float | None:
    return state.score()


def trainer(score: Score, save_within: bool) -> Callable[[Interval], None]:
    """How one member trains: an update an epoch, a checkpoint after each if asked for."""
    states: dict[int, Weights] = {}

    def train(work: Interval) -> None:
        state = states.get(work.member)
        if state is None or work.moved:
            state = states.setdefault(work.member, Weights())
            work.folder.restore(state)
        state.hypers = dict(work.hypers)
        while state.epoch < work.epoch:
            state.update(work.member)
            work.folder.log(state.step, "train", epoch=state.epoch, value=state.value[:6])
            if save_within and state.epoch < work.epoch:
                work.folder.save(state)
        found = score(work, state)
        scores = {} if found is None else {"top1": found}
        work.folder.log(state.step, "val", epoch=state.epoch, **scores)
        updates = (work.epoch - work.start) * int(work.hypers["batch"])
        work.folder.finish(state, Outcome(found, updates, 2 * updates, scores))

    return train


def backwards(train: Callable[[Interval], None]) -> Train:
    """Another engine: the last member first."""

    def turns(intervals: Sequence[Interval]) -> Iterator[Interval]:
        for work in reversed(intervals):
            train(work)
            yield work

    return turns


def population(
    folder: Path,
    *,
    members: int = 3,
    ends: Sequence[int] = (2, 4, 6),
    score: Score = own_score,
    engine: Callable[[Callable[[Interval], None]], Train] = one_after_another,
    save_within: bool = False,
    deferred: bool = False,
    seed: int = 0,
) -> Lineage | None:
    """Train in a run folder, or go on; None where the run had ended."""
    with ExitStack() as stack:
        run = stack.enter_context(Run.open(folder, RECIPE, seed, {}))
        if read_result(folder) is not None:
            return None
        each = [
            stack.enter_context(Member(folder / "members" / str(index), deferred=deferred))
            for index in range(members)
        ]
        view = stack.enter_context(live("x", members, len(ends), show=False))
        train = engine(trainer(score, save_within))
        lineage = run_rounds(run, each, SPACE, seed, ends, train, view)
        run.finish({"best": lineage.rounds[-1].best})
        return lineage


def outcome(folder: Path) -> dict[str, bytes]:
    """All files that a population leaves behind, by their paths."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
