"""A piece of work that is done in a folder, wherever a worker is."""

from __future__ import annotations

from typing import Any, Protocol

from triptych.engines.files import Files


class Job(Protocol):
    """A piece of work, as the driver has it."""

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        ...

    @property
    def work(self) -> Any:
        """What a worker needs to know besides the files."""
        ...

    def begin(self) -> Files | None:
        """The folder's files as they are now; None where nothing is left to do. Called again where
        a worker died."""
        ...

    def progress(self, done: int, total: int, note: str) -> None:
        """Told now and then how many updates of the job are done."""
        ...

    def receive(self, files: Files) -> None:
        """Take over what the folder has become, complete or not."""
        ...

    def end(self) -> None:
        """Called when no worker has it any more, however it ended."""
        ...
