"""Jobs over the workers of a cluster, some of which die.

A worker is an actor with a fixed share of a node. One for which there is no room waits in the
cluster, so a node that joins later is used too. A job whose worker died goes to another, from what
the driver's folder holds; only a whole answer changes that folder.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from triptych.engines.job import Job
from triptych.engines.nodes import Need
from triptych.engines.seat import Lost, Seat, get
from triptych.engines.worker import Do, Setting
from triptych.errors import Stopped, TriptychError, WorkFailed
from triptych.stopping import StopRequest

log = logging.getLogger("triptych")

TRIES = 4
"""Workers that may die with a job, or one after the other while they open, before it fails."""
ROOM_WITHIN = 60.0
"""Seconds without any node that has room for a worker before the work fails."""
STOPPING_TAKES = 300.0
"""Seconds that workers are given to reach a safe point."""


@dataclass(frozen=True)
class _Ended:
    """What became of a job that a worker had."""

    job: Job
    error: Exception | None = None
    lost: str | None = None
    """Why it has to be done again; None where it has not."""
    counts: bool = True
    """Whether that counts among its tries."""


class Pool:
    """Workers for jobs of one kind; a context manager that ends them."""

    def __init__(
        self,
        make: Callable[..., Do],
        given: Sequence[Any],
        *,
        count: int,
        need: Need,
        stop: StopRequest,
    ) -> None:
        """`make(*given, device)` is called once in each of at most `count` workers."""
        import ray

        # Put there once, for all workers: a node keeps one copy, however many workers it has.
        self._given = ray.put((make, tuple(given)))
        self._setting = Setting.here(need.threads, need.device)
        self._need, self._stop = need, stop
        self._seats = [self._seat() for _ in range(count)]
        self._died_opening = 0
        self._began = self._room_seen = time.monotonic()
        self._warned = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for seat in self._seats:
            seat.end()
        self._seats = []

    def device(self) -> str:
        """The device of the first worker that is open, in words. Raises what kept it from opening,
        and Stopped."""
        while True:
            for seat in self._seats:
                if seat.device is not None:
                    return seat.device
            self._look()
            if self._stop.reason is not None:
                self._raise_stopped("nothing was trained yet")

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Exception | None]]:
        """Do jobs in any order; gives each back when it has ended, with what befell it.

        Raises Stopped when that is asked for, with what was done received.
        """
        waiting, died = deque(jobs), Counter[str]()
        try:
            while waiting or self._busy():
                if self._stop.reason is not None:
                    self._interrupt()
                for seat in self._seats:
                    while seat.free and waiting:
                        if (ended := _hand_out(waiting.popleft(), seat)) is not None:
                            yield ended.job, ended.error
                for ended in self._look():
                    if ended.lost is None:
                        yield ended.job, ended.error
                        continue
                    died[ended.job.name] += ended.counts
                    if died[ended.job.name] < TRIES:
                        log.warning("%s is done again: %s", ended.job.name, ended.lost)
                        waiting.appendleft(ended.job)
                    else:
                        yield ended.job, _given_up(ended)
        finally:
            for seat in self._busy():
                if seat.job is not None:
                    seat.job.end()

    def _seat(self) -> Seat:
        return Seat.taken(self._given, self._setting, self._need)

    def _busy(self) -> list[Seat]:
        return [seat for seat in self._seats if seat.job is not None]

    def _look(self) -> list[_Ended]:
        """Wait a little; what became of jobs meanwhile."""
        import ray

        refs = [ref for seat in self._seats for ref in seat.pending()]
        ready = set(ray.wait(refs, timeout=0.5, fetch_local=False)[0]) if refs else set()
        found = []
        for seat in list(self._seats):
            if seat.opening in ready:
                self._opened(seat)
            if seat.asked in ready:
                seat.heard()
            if seat.answer in ready:
                found.append(self._answered(seat))
            seat.look_in(self._stop.reason)
        self._look_for_room()
        return found

    def _opened(self, seat: Seat) -> None:
        try:
            seat.opened()
            self._died_opening = 0
        except Lost as error:
            self._died_opening += 1
            if self._died_opening >= TRIES * len(self._seats):
                raise WorkFailed(
                    f"{self._died_opening} workers died one after the other while they opened the "
                    f"data, the last because {error}; Ray's logs on the nodes say more"
                ) from None
            self._replace(seat)

    def _answered(self, seat: Seat) -> _Ended:
        job, answer = seat.job, seat.answer
        assert job is not None
        seat.job = seat.answer = None
        try:
            _, files = get(answer)
            job.receive(files)
        except Lost as error:
            self._replace(seat)
            for other in self._seats:
                # Its node may be gone, and those that are free there with it: they would be the
                # next to lose the job.
                if other.free and other.node == seat.node:
                    self._replace(other)
            return _Ended(job, lost=str(error))
        except Exception as error:
            more = seat.need.with_more_memory() if _out_of_gpu_memory(error) else None
            if more is None:
                return _Ended(job, error)
            self._need = max(self._need, more, key=lambda need: need.gpus)
            self._replace(seat)
            lost = f"its GPU's memory did not do, so a worker takes {self._need} now"
            return _Ended(job, lost=lost, counts=False)
        finally:
            job.end()
        return _Ended(job)

    def _replace(self, seat: Seat) -> None:
        seat.end()
        self._seats[self._seats.index(seat)] = self._seat()

    def _look_for_room(self) -> None:
        """Raise WorkFailed where no node could hold a worker for long: it would wait for ever."""
        now = time.monotonic()
        if any(seat.device is not None for seat in self._seats):
            self._room_seen = now
        elif now - self._room_seen > ROOM_WITHIN / 2:
            from triptych.engines.connect import living_nodes

            if any(self._need.fits(node) for node in living_nodes()):
                self._room_seen = now
                if not self._warned:
                    self._warned = True
                    log.warning(
                        "no worker is ready after %.0f s, though nodes are there: it opens its "
                        "data still, waits for other work, or cannot start (Ray's logs on the "
                        "nodes say so)",
                        now - self._began,
                    )
            elif now - self._room_seen > ROOM_WITHIN:
                raise WorkFailed(
                    f"no node is left in the cluster that could hold a worker, which takes "
                    f"{self._need}; start one and run the same command again"
                )

    def _interrupt(self) -> None:
        """Have all workers stop at a safe point, receive what they did, and raise Stopped."""
        names = [seat.job.name for seat in self._busy() if seat.job is not None]
        until = time.monotonic() + STOPPING_TAKES
        while self._busy() and time.monotonic() < until:
            self._look()
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        self._raise_stopped(
            f"while {', '.join(names[:3])}{more} trained" if names else "between two rounds"
        )

    def _raise_stopped(self, when: str) -> None:
        raise Stopped(
            f"stopped by {self._stop.reason}, {when}; run the same command again to go on"
        )


def _hand_out(job: Job, seat: Seat) -> _Ended | None:
    """Give a job to a worker; what became of it where it ended with that."""
    try:
        files = job.begin()
    except TriptychError as error:
        job.end()
        return _Ended(job, error)
    if files is None:
        job.end()
        return _Ended(job)
    seat.take(job, files)
    return None


def _given_up(ended: _Ended) -> WorkFailed:
    return WorkFailed(
        f"{ended.job.name} was given up after {TRIES} workers died with it, the last because "
        f"{ended.lost}; Ray's logs on the nodes say more"
    )


def _out_of_gpu_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError)
