"""What a population asks of an engine that trains its members in other places than this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from triptych.population.rounds import Interval, Train
from triptych.progress import Bar
from triptych.stopping import StopRequest


class Watching(Protocol):
    """Who sees how far a member's interval is."""

    def training(self, member: int, updates: int, done: int = 0) -> AbstractContextManager[Bar]: ...


TrainMember = Callable[[Interval, Any, StopRequest, Watching], None]
"""Trains a member until the end of its interval, in the interval's folder, and calls its `finish`.
What comes second is what was `told` of the interval where the run folder is."""


@dataclass(frozen=True)
class Crew:
    """Workers that are ready to train members."""

    train: Train
    record: dict[str, Any]
    """What `runtime.json` says of them, the device among it."""


class Cluster(Protocol):
    """Machines that members may be trained on."""

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
    ) -> AbstractContextManager[Crew]:
        """Workers for at most `count` members at once.

        `make(*given, device)` is called once in each, with `given` sent there once a machine, so it
        holds the data. `told(interval)` is called here when an interval is sent. Training is
        deterministic: an interval whose worker died is trained again elsewhere, from where its
        folder here stands.
        """
        ...
