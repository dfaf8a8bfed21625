"""Where the time of a step goes, with batches and work that take known times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from triptych.segment.batches import Batch
from triptych.training.optimisers import adamw
from triptych.training.state import TrainState
from triptych.training.step_clock import StepClock, times_of

NOTHING = torch.zeros(0)


def fresh() -> TrainState:
    model = nn.Linear(1, 1)
    return TrainState(model=model, optimiser=adamw(model, 0.1, 0.0))


def batches(count: int, wait: float, cost: float) -> Iterator[Batch]:
    for _ in range(count):
        time.sleep(wait)
        yield Batch(NOTHING, NOTHING, NOTHING, cost)


def work(seconds: float) -> None:
    # Until both clocks say so: of a virtual machine, the two need not agree to the millisecond.
    began, used = time.perf_counter(), time.process_time()
    while min(time.perf_counter() - began, time.process_time() - used) < seconds:
        pass


def test_only_steps_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    monkeypatch.setattr(time, "process_time", lambda: 2 * now)

    def spend(seconds: float) -> None:
        nonlocal now
        now += seconds

    def slow() -> Iterator[Batch]:
        for wait in (1.0, 3.0):
            spend(wait)
            yield Batch(NOTHING, NOTHING, NOTHING, 1.5)
        spend(50)  # the end of the epoch is no step

    state = fresh()
    clock = StepClock(state)
    for _ in clock.batches(slow()):
        spend(2)
        clock.end_step()
        spend(7)  # a checkpoint
    assert (state.waited, state.stepping, state.augmenting) == (4, 8, 3)
    # The processor went on during the first checkpoint, as the threads that augment did.
    assert state.processor == 2 * (8 + 7)
    state.seconds = 1000  # evaluations are no steps
    assert times_of(state) == {"steps": 8, "waiting_for_data": 0.5, "augmenting": 0.1}


def test_on_a_real_clock() -> None:
    state = fresh()
    clock = StepClock(state)
    for _ in clock.batches(batches(3, wait=0.03, cost=0.01)):
        work(0.03)
        clock.end_step()
    assert state.waited >= 0.09
    assert state.stepping >= state.waited + 0.09
    assert state.processor >= 0.09
    assert state.augmenting == pytest.approx(0.03)


def test_nothing_done_is_nothing_waited() -> None:
    assert times_of(fresh()) == {"steps": 0, "waiting_for_data": 0, "augmenting": 0}


def test_checkpoints_from_before_steps_were_timed_can_be_gone_on_from(tmp_path: Path) -> None:
    state = fresh()
    state.seconds, state.stepping, state.waited = 10.0, 8.0, 2.0
    state.processor, state.augmenting = 9.0, 3.0
    counters = state.write(tmp_path)
    again = fresh()
    again.read(tmp_path, counters)
    assert times_of(again) == times_of(state)
    for name in ("stepping", "processor", "augmenting"):
        del counters[name]
    old = fresh()
    old.read(tmp_path, counters)
    # Two of ten seconds were waited, whatever the ten were spent on.
    assert times_of(old) == {"steps": 10, "waiting_for_data": 0.2, "augmenting": 0}
