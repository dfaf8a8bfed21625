"""Between two updates: checkpoints in time, stopping, and the time over all starts."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import Stopped
from triptych.stopping import StopRequest
from triptych.training import pace
from triptych.training.pace import Pace


@dataclass
class State:
    step: int = 0
    step_in_epoch: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=lambda: {"loss": 0.0})


@dataclass
class Saves:
    """In place of a run: the steps that were saved, and the time that the state then had."""

    steps: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def save(self, state: State) -> None:
        self.steps.append(state.step)
        self.seconds.append(state.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def keeping(run: Saves, state: State, stop: StopRequest | None = None) -> Any:
    return Pace.keeping(
        run,  # type: ignore[arg-type]
        state,  # type: ignore[arg-type]
        title="x",
        total=10,
        stop=stop or StopRequest(),
        show_progress=False,
    )


def test_checkpoints_are_written_in_time(clock: list[float]) -> None:
    run, state = Saves(), State()
    with keeping(run, state) as going:
        for _ in range(10):
            state.step += 1
            clock[0] += 100  # a step takes 100 s, a checkpoint is due after more than 300
            going.after_step()
    assert run.steps == [4, 8]


def test_a_checkpoint_at_the_end_of_an_epoch_puts_the_next_one_off(clock: list[float]) -> None:
    run, state = Saves(), State()
    with keeping(run, state) as going:
        for _ in range(6):
            state.step += 1
            clock[0] += 100
            going.after_step()
            if state.step == 3:
                going.save()
    assert run.steps == [3]


def test_time_counts_over_all_starts_and_is_in_the_checkpoint(clock: list[float]) -> None:
    run, state = Saves(), State(seconds=1000.0)
    with keeping(run, state) as going:
        clock[0] += 2.5
        going.after_step()
        clock[0] += 4
        going.save()
    assert state.seconds == 1006.5
    assert run.seconds == [1006.5]


def test_a_request_to_stop_saves_first(clock: list[float]) -> None:
    run, state, stop = Saves(), State(step=6), StopRequest(max_minutes=1)

    def one_step() -> None:
        with keeping(run, state, stop) as going:
            state.step += 1
            clock[0] += 61
            going.after_step()

    with pytest.raises(Stopped, match="--max-minutes 1 at step 7 of 10; run the same command"):
        one_step()
    assert run.steps == [7]
    assert run.seconds == [61.0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    run, state = Saves(), State()

    def one_step() -> None:
        with keeping(run, state) as going:
            os.kill(os.getpid(), number)
            state.step += 1
            assert run.steps == []
            going.after_step()

    with pytest.raises(Stopped, match="at step 1 of 10"):
        one_step()
    assert run.steps == [1]
    assert signal.getsignal(number) == before


def test_a_checkpoint_after_every_step_where_tests_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pace, "SAVE_EVERY_SECONDS", 0)
    run, state = Saves(), State()
    with keeping(run, state) as going:
        for _ in range(3):
            state.step += 1
            going.after_step()
    assert run.steps == [1, 2, 3]
