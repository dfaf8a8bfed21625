"""Where the time of training steps goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Protocol, TypeVar

from triptych.training.state import TrainState


class Timed(Protocol):
    """A batch that knows how long it took to make."""

    @property
    def seconds(self) -> float:
        """Processor time of the thread that made it."""
        ...


T = TypeVar("T", bound=Timed)


class StepClock:
    """Adds up the steps of one epoch in a training's state, from here to the last `end_step`."""

    def __init__(self, state: TrainState) -> None:
        self._state = state
        self._began = time.perf_counter()
        self._worked = time.process_time()

    def batches(self, batches: Iterator[T]) -> Iterator[T]:
        """The same batches. A step begins when its batch is asked for."""
        while True:
            self._began = time.perf_counter()
            batch = next(batches, None)
            if batch is None:
                return
            self._state.waited += time.perf_counter() - self._began
            self._state.augmenting += batch.seconds
            yield batch

    def end_step(self) -> None:
        """Call after the update, before what is no part of the step, such as a checkpoint."""
        self._state.stepping += time.perf_counter() - self._began
        worked = time.process_time()
        self._state.processor += worked - self._worked
        self._worked = worked


def times_of(state: TrainState) -> dict[str, float]:
    """For a result: how long the steps took, and what part of it the data did.

    `steps` are the seconds inside steps, without evaluations and checkpoints; `waiting_for_data`
    is the share of these that the loop waited for its next batch; `augmenting` is the share of the
    process's processor time in steps that the threads took which load and augment.
    """
    return {
        "steps": round(state.stepping, 3),
        "waiting_for_data": round(state.waited / max(state.stepping, 1e-9), 4),
        "augmenting": round(state.augmenting / max(state.processor, 1e-9), 4),
    }
