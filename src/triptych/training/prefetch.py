"""Batches made ahead on threads, handed out in their order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def prefetched(make: Callable[[int], T], steps: range) -> Iterator[T]:
    """`make(step)` of each step in order; the next few are made by threads meanwhile.

    `make` must not depend on which steps were made before.
    """
    workers = min(os.cpu_count() or 1, 8)
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        waiting: deque[Future[T]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(make, step))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Updates of an epoch; the last, smaller batch is left out unless it is the only one."""
    return max(samples // batch_size, 1)
