"""Progress bars on stderr: how far, how fast, how long still. Silent where nobody looks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _Rate(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        unit = task.fields.get("unit", "it")
        return Text("" if rate is None else f"{rate:,.1f} {unit}/s", style="progress.data.speed")


class Bar:
    """One running bar."""

    def __init__(self, progress: Progress, task: Task) -> None:
        self._progress = progress
        self._task = task

    def advance(self, count: int = 1, note: str | None = None) -> None:
        """Count items as done; `note` is shown at the end of the line."""
        self._progress.advance(self._task.id, count)
        if note is not None:
            self._progress.update(self._task.id, note=note)


@contextlib.contextmanager
def bar(
    title: str, total: int | None, *, unit: str = "it", done: int = 0, show: bool = True
) -> Iterator[Bar]:
    """A progress bar on stderr; nothing is drawn where stderr is no terminal.

    `done` items were done by an earlier start and do not count for the rate. `total` None means
    that the length is not known.
    """
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=False,
        disable=not (show and console.is_terminal),
    )
    with progress:
        identity = progress.add_task(title, total=total, completed=done, unit=unit, note="")
        yield Bar(progress, next(t for t in progress.tasks if t.id == identity))
