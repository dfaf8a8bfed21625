"""Killing a process just before a chosen one of its file operations."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any


def die_at(count: int, operations: Sequence[tuple[Any, str]]) -> None:
    """From now on count the calls of `operations` (owner, name); SIGKILL before number `count`."""
    left = count

    def fault(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:  # another thread may have counted on
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return wrapped

    for owner, name in operations:
        setattr(owner, name, fault(getattr(owner, name)))
