"""What happens between two updates of every study: progress, checkpoints in time, stopping."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from triptych.errors import Stopped
from triptych.progress import Bar, bar
from triptych.run import Keeper
from triptych.stopping import StopRequest
from triptych.training.state import TrainState

SAVE_EVERY_SECONDS = 300
"""Longest time between two checkpoints; there is also one at the end of every epoch."""


class Pace:
    """Made by `Pace.keeping`; a training loop calls `after_step` and `save`."""

    def __init__(self, run: Keeper, state: TrainState, total: int, stop: StopRequest, shown: Bar):
        self._run, self._state, self._total = run, state, total
        self._stop, self._shown = stop, shown
        self._last = self._saved = time.monotonic()

    @classmethod
    @contextlib.contextmanager
    def keeping(
        cls,
        run: Keeper,
        state: TrainState,
        *,
        title: str,
        total: int,
        stop: StopRequest,
        show_progress: bool,
    ) -> Iterator[Pace]:
        """Listen to signals and show a bar of `total` updates while the block runs."""
        with (
            stop.listening(),
            bar(title, total, unit="step", done=state.step, show=show_progress) as shown,
        ):
            yield cls(run, state, total, stop, shown)

    def after_step(self) -> None:
        """Call with the state whole. Raises `Stopped`, with a checkpoint written, when asked to."""
        state = self._state
        self._shown.advance(1, f"loss {state.sums['loss'] / max(state.step_in_epoch, 1):.3f}")
        self.note_time()
        if self._stop.reason is not None or time.monotonic() - self._saved > SAVE_EVERY_SECONDS:
            self.save()
        if self._stop.reason is not None:
            raise Stopped(
                f"stopped by {self._stop.reason} at step {state.step} of {self._total}; "
                "run the same command again to go on"
            )

    def save(self) -> None:
        self.note_time()
        self._run.save(self._state)
        self._saved = time.monotonic()

    def note_time(self) -> None:
        """Add the time that passed to the state's, which counts over all starts of a run."""
        now = time.monotonic()
        self._state.seconds += now - self._last
        self._last = now
