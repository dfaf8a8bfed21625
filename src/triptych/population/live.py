"""What a population looks like while it trains: one line a member, on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from triptych.population.lineage import Round
from triptych.population.records import Change, Hypers, Outcome
from triptych.progress import Bar


class Population:
    """A live table; nothing is drawn where stderr is no terminal."""

    def __init__(
        self, title: str, members: int, rounds: int, console: Console, drawn: Live | None
    ) -> None:
        self._title, self._rounds, self._live = title, rounds, drawn
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}"),
            console=console,
        )
        self._whole = self._progress.add_task("intervals", total=members * rounds, note="")
        self._round = 0
        self._hypers: list[Hypers] = [{}] * members
        self._scores: list[str] = [""] * members
        self._happened: list[str] = [""] * members
        self._training: int | None = None
        self._before: Round | None = None

    def round_begins(self, number: int, hypers: Sequence[Hypers], last: Round | None) -> None:
        self._round, self._hypers, self._before = number, list(hypers), last
        members = range(len(hypers))
        if last is not None:
            self._happened = [happened(member, last) for member in members]
            self._scores = [in_words(last.outcomes[member]) for member in members]
        self._progress.update(self._whole, completed=len(hypers) * (number - 1))
        self._draw()

    def interval_ends(self, member: int, outcome: Outcome) -> None:
        self._scores[member] = in_words(outcome)
        self._training = None
        self._progress.advance(self._whole)
        self._draw()

    @contextlib.contextmanager
    def training(self, member: int, updates: int, done: int = 0) -> Iterator[Bar]:
        """A bar of the updates of one member's interval, of which some are done."""
        self._training = member
        task = self._progress.add_task(f"member {member}", total=updates, completed=done, note="")
        self._draw()
        try:
            yield Bar(self._progress, next(t for t in self._progress.tasks if t.id == task))
        finally:
            self._progress.remove_task(task)

    def table(self) -> Table:
        """The members as they stand."""
        rows = [
            Row(member, self._scores[member], hypers, self._happened[member], self._changes(member))
            for member, hypers in enumerate(self._hypers)
        ]
        title = f"{self._title}, round {self._round} of {self._rounds}"
        return members_table(title, rows, self._training)

    def _changes(self, member: int) -> Mapping[str, Change]:
        decision = None if self._before is None else self._before.takeover(member)
        return {} if decision is None else decision.changes

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(Group(self.table(), self._progress))


@contextlib.contextmanager
def live(title: str, members: int, rounds: int, *, show: bool) -> Iterator[Population]:
    """The view of a population while the block runs; with `show` false it is silent."""
    console = Console(stderr=True)
    if not (show and console.is_terminal):
        yield Population(title, members, rounds, console, None)
        return
    with Live(console=console, refresh_per_second=4) as drawn:
        yield Population(title, members, rounds, console, drawn)


@dataclass(frozen=True)
class Row:
    """One member's line."""

    member: int
    score: str
    hypers: Hypers
    happened: str
    changes: Mapping[str, Change]
    """How it came to its hyperparameters, where that was in the last round."""


LEGEND = "↑ x1.2 or next, ↓ x0.8 or previous, * new, = at the end of its range"


def members_table(title: str, rows: Sequence[Row], training: int | None = None) -> Table:
    """A line a member, within 80 columns where six hyperparameters are searched."""
    names = list(rows[0].hypers)
    table = Table(title=title, caption=LEGEND, box=None, padding=(0, 1, 0, 0))
    # A name in several words takes several lines, so that its column is no wider than the values.
    for head in ("member", "score", *(name.replace("_", "\n") for name in names)):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("last round", no_wrap=True)
    for row in rows:
        mark = "> " if row.member == training else ""
        values = [f"{row.hypers[name]:.3g}{_mark(row.changes.get(name))}" for name in names]
        table.add_row(f"{mark}{row.member}", row.score, *values, row.happened)
    return table


def _mark(change: Change | None) -> str:
    if change is None:
        return " "
    if change.clamped:
        return "="
    return {"resampled": "*", "x1.2": "↑", "next up": "↑"}.get(change.how, "↓")


def happened(member: int, last: Round) -> str:
    """What a round meant for a member, in a few words."""
    decision = last.takeover(member)
    if decision is not None:
        why = "diverged, " if decision.reason == "diverged" else ""
        return f"{why}from {decision.donor}"
    heirs = [str(each.member) for each in last.takeovers if each.donor == member]
    return f"copied by {', '.join(heirs)}" if heirs else "goes on"


def in_words(outcome: Outcome) -> str:
    """A score, or that there is none."""
    return "diverged" if outcome.score is None else f"{outcome.score:.4f}"
