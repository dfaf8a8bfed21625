"""How calls of a model are timed, and what a row says of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

WARM_UP = 2
LEAST = 3
"""Calls, however slow the model is."""
ENOUGH_FOR_P95 = 20
"""Calls: of fewer than these less than one is slower than the 95th percentile."""


@dataclass(frozen=True)
class Length:
    """How long to measure."""

    seconds: float
    frames: int | None
    """How many frames instead."""

    def reached(self, done: int, begin: float) -> bool:
        """Whether so many calls since `begin`, by the performance counter, are enough."""
        if self.frames is not None:
            return done >= self.frames
        return time.perf_counter() - begin >= self.seconds


def one_at_a_time(call: Callable[[], object], length: Length) -> list[float]:
    """Seconds of each call, one after the other, after some that do not count."""
    for _ in range(WARM_UP):
        call()
    found: list[float] = []
    begin = time.perf_counter()
    while len(found) < LEAST or not length.reached(len(found), begin):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def together(call: Callable[[], object], callers: int, length: Length) -> float:
    """Calls per second of several callers at once."""
    begin = time.perf_counter()
    share = None if length.frames is None else -(-max(length.frames, LEAST) // callers)

    def work(_: int) -> int:
        done = 0
        while done < share if share is not None else not length.reached(done, begin) or not done:
            call()
            done += 1
        return done

    with ThreadPoolExecutor(callers) as pool:
        done = sum(pool.map(work, range(callers)))
    return done / (time.perf_counter() - begin)


def latency(seconds: Sequence[float]) -> dict[str, Any]:
    """What a row says of calls that were made one at a time."""
    return {
        "latency_p50_ms": 1000 * float(np.quantile(seconds, 0.5)),
        "latency_p95_ms": p95(seconds),
        "latency_frames": len(seconds),
    }


def p95(seconds: Sequence[float]) -> float | None:
    """The 95th percentile in milliseconds; None of fewer calls than `ENOUGH_FOR_P95`."""
    if len(seconds) < ENOUGH_FOR_P95:
        return None
    return 1000 * float(np.quantile(seconds, 0.95))
