"""One worker as its driver sees it: an actor that may die, and what it is busy with."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from triptych.engines.job import Job
from triptych.engines.nodes import Need
from triptych.engines.worker import Setting, Worker
from triptych.errors import WorkFailed

ASKED_EVERY = 1.0
"""Seconds between two questions to a worker how far it is, or orders to stop."""


class Lost(Exception):
    """A worker died; the text says why."""


@dataclass(eq=False)
class Seat:
    """A worker; made by `taken`."""

    actor: Any
    opening: Any
    """The answer to its opening; None once that is there."""
    need: Need
    device: str | None = None
    """In words; None until it is open."""
    node: str | None = None
    """The node that it is on, once it is open."""
    job: Job | None = None
    answer: Any = None
    asked: Any = None
    _last: float = field(default_factory=time.monotonic)

    @classmethod
    def taken(cls, given: Any, setting: Setting, need: Need) -> Seat:
        """Ask the cluster for a worker, which opens what is `given` as soon as there is room."""
        import ray

        remote: Any = ray.remote(Worker).options(
            num_cpus=need.cpus, num_gpus=need.gpus, max_restarts=0, max_concurrency=2
        )
        actor = remote.remote()
        return cls(actor, actor.open.remote(given, setting), need)

    @property
    def free(self) -> bool:
        return self.device is not None and self.job is None

    def pending(self) -> Iterator[Any]:
        """What the worker has been asked and has not answered."""
        yield from (ref for ref in (self.opening, self.answer, self.asked) if ref is not None)

    def opened(self) -> None:
        """Note that it is open. Raises Lost, and what kept it from opening."""
        opening, self.opening = self.opening, None
        self.device, self.node = get(opening)

    def take(self, job: Job, files: Any) -> None:
        self.job, self.answer = job, self.actor.run.remote(job.work, files)

    def look_in(self, stop: str | None) -> None:
        """Now and then ask how far the job is, or order it to stop for a reason."""
        if self.job is None or time.monotonic() - self._last < ASKED_EVERY:
            return
        self._last = time.monotonic()
        if stop is not None:
            self.actor.stop.remote(stop)
        elif self.asked is None:
            self.asked = self.actor.progress.remote()

    def heard(self) -> None:
        """Show how far the job is."""
        asked, self.asked = self.asked, None
        with contextlib.suppress(Lost):  # the job's own answer will say so too
            told = get(asked)
            if self.job is not None:
                self.job.progress(*told)

    def end(self) -> None:
        import ray

        ray.kill(self.actor)


def get(ref: Any) -> Any:
    """What a worker answered. Raises Lost where it died, and what it raised as itself."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(ref)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, RayError):
            raise Lost(_in_words(cause)) from None
        if isinstance(cause, Exception):
            raise cause from None
        raise WorkFailed(f"a worker failed: {_in_words(error)}") from None
    except RayError as error:
        raise Lost(_in_words(error)) from None


def _in_words(error: Exception) -> str:
    from ray.exceptions import OutOfMemoryError, RayActorError

    text = str(error)
    if "node has died" in text or "node was terminated" in text:
        return "its node died"
    if isinstance(error, OutOfMemoryError) or "NODE_OUT_OF_MEMORY" in text:
        return "its node ran out of memory"
    if isinstance(error, RayActorError):
        return "its process died"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
