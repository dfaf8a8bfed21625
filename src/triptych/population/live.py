"""What a population looks like while it trains: one line a member, on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from triptych.population.lineage import Round
from triptych.population.records import Decision, Hypers, Outcome
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

    def round_begins(self, number: int, hypers: Sequence[Hypers], last: Round | None) -> None:
        self._round, self._hypers = number, list(hypers)
        members = range(len(hypers))
        if last is not None:
            self._happened = [happened(member, last) for member in members]
            self._scores = [_score(last.outcomes[member]) for member in members]
        self._progress.update(self._whole, completed=len(hypers) * (number - 1))
        self._draw()

    def interval_ends(self, member: int, outcome: Outcome) -> None:
        self._scores[member] = _score(outcome)
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
        names = list(self._hypers[0])
        table = Table(title=f"{self._title}, round {self._round} of {self._rounds}")
        for name in ("member", "score", *names, "after the last round"):
            table.add_column(name, justify="left" if name.startswith("after") else "right")
        for member, hypers in enumerate(self._hypers):
            mark = "> " if member == self._training else ""
            values = [f"{hypers[name]:.3g}" for name in names]
            table.add_row(f"{mark}{member}", self._scores[member], *values, self._happened[member])
        return table

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


def happened(member: int, last: Round) -> str:
    """What a round meant for a member, in words."""
    decision = last.takeover(member)
    if decision is not None:
        why = "diverged, " if decision.reason == "diverged" else ""
        return f"{why}from {decision.donor}: {_changes(decision)}"
    heirs = [str(each.member) for each in last.takeovers if each.donor == member]
    return f"copied by {', '.join(heirs)}" if heirs else "goes on"


def _changes(decision: Decision) -> str:
    return ", ".join(
        f"{name} {change.how}{' (at the end of its range)' if change.clamped else ''}"
        for name, change in decision.changes.items()
    )


def _score(outcome: Outcome) -> str:
    return "diverged" if outcome.score is None else f"{outcome.score:.4f}"
