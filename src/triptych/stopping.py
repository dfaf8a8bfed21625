"""Stopping before the end: time limits, SIGTERM and Ctrl-C, without losing what was done."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

_REASONS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


def raise_on_signals() -> None:
    """From now on SIGTERM ends the process as Ctrl-C does: by raising KeyboardInterrupt.

    Not `Stopped`, which a library's `except Exception` might swallow.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        # A second signal while the first is being obeyed must not break the cleaning up.
        for each in _REASONS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(_REASONS[signal.Signals(number)])

    for each in _REASONS:
        signal.signal(each, stop)


class StopRequest:
    """Whether a long job should end at its next safe point, and why."""

    def __init__(self, max_minutes: float | None = None) -> None:
        self._deadline = None if max_minutes is None else time.monotonic() + 60 * max_minutes
        self._limit = max_minutes
        self._signal: int | None = None

    @property
    def reason(self) -> str | None:
        if self._signal is not None:
            return _REASONS[signal.Signals(self._signal)]
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return f"--max-minutes {self._limit:g}"
        return None

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Turn the first signal into a request; a second one ends the process at once.

        Elsewhere than in the main thread signals are left alone.
        """
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {each: signal.getsignal(each) for each in _REASONS}

        def note(number: int, frame: FrameType | None) -> None:
            self._signal = number
            for each, handler in before.items():
                signal.signal(each, handler)

        for each in _REASONS:
            signal.signal(each, note)
        try:
            yield self
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
