"""Jobs over workers: errors, deaths, too little memory, stopping."""

from __future__ import annotations

import logging
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.errors import Stopped, UserError, WorkFailed
from triptych.stopping import StopRequest


@dataclass(eq=False)
class Toy:
    """A job that says what is to be done with the file `text`."""

    work: Any
    text: str = "before"
    heard: list[tuple[int, int, str]] = field(default_factory=list)
    ended: int = 0
    stop: StopRequest | None = None
    """Is told to stop as soon as progress is heard of."""

    @property
    def name(self) -> str:
        return f"job {self.work[0]}"

    def begin(self) -> dict[str, Any]:
        return {"inner/text": np.frombuffer(self.text.encode(), np.uint8)}

    def progress(self, done: int, total: int, note: str) -> None:
        self.heard.append((done, total, note))
        if self.stop is not None and done:
            self.stop._signal = signal.SIGTERM

    def receive(self, files: Any) -> None:
        self.text = bytes(files["inner/text"]).decode()

    def end(self) -> None:
        self.ended += 1


def make(greeting: str, device: str) -> Any:
    """What workers do."""

    def do(work: Any, folder: Path, stop: StopRequest, watch: Any) -> None:
        kind, argument = work
        text = folder / "inner" / "text"
        if kind == "write":
            text.write_text(f"{greeting} {text.read_text()} on {device}")
        elif kind == "raise":
            raise argument
        elif kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "die once" and not Path(argument).exists():
            Path(argument).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif kind == "crowded" and not Path(argument).exists():
            import torch

            Path(argument).touch()
            raise torch.OutOfMemoryError("CUDA out of memory")
        elif kind == "wait":
            with watch.training(0, 100, 3) as shown:
                shown.advance(4, "waiting")
                while stop.reason is None:
                    time.sleep(0.01)
            text.write_text("half")
            raise Stopped(f"stopped by {stop.reason}")

    return do


@pytest.mark.usefixtures("sent", "one_thread")
def test_errors_come_back_as_themselves_and_a_stop_with_what_was_done(
    machines: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    from triptych.engines.connect import joined
    from triptych.engines.nodes import Need
    from triptych.engines.pool import Pool

    stop = StopRequest()
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with (
        joined(machines.address),
        Pool(make, ("hello",), count=1, need=Need("cpu", 1), stop=stop) as pool,
    ):
        assert handlers == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        assert pool.device().startswith("cpu, 1 threads")
        jobs = [
            Toy(("write", None)),
            Toy(("raise", WorkFailed("the disk is full"))),
            Toy(("raise", UserError("no such folder"))),
            Toy(("raise", ValueError("odd"))),
        ]
        errors = {id(job): error for job, error in pool.run(jobs)}
        plain, failed, wrong, odd = (errors[id(job)] for job in jobs)
        assert plain is None
        assert jobs[0].text == "hello before on cpu"
        assert jobs[1].text == "before"
        assert (type(failed), str(failed)) == (WorkFailed, "the disk is full")
        assert type(wrong) is UserError
        assert str(wrong).startswith("no such folder (on node ")
        assert (type(odd), str(odd)) == (ValueError, "odd")
        assert [job.ended for job in jobs] == [1] * 4

        waits = Toy(("wait", None), stop=stop)
        with pytest.raises(
            Stopped,
            match=r"^stopped by SIGTERM, while job wait trained; run the same command again",
        ):
            list(pool.run([waits]))
        assert waits.heard[-1] == (7, 100, "waiting")
        assert (waits.text, waits.ended) == ("half", 1)
    # What goes to stdout is a result, for `--json`.
    assert capfd.readouterr().out == ""


@pytest.mark.usefixtures("sent", "one_thread")
def test_a_job_goes_to_another_worker_but_not_for_ever(
    machines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from triptych.engines import pool as pools
    from triptych.engines.connect import joined
    from triptych.engines.nodes import Need

    monkeypatch.setattr(pools, "TRIES", 2)
    need = Need("cpu", 1, gpus=0.5)  # of the GPU that there is not: nothing runs on it
    with (
        joined(machines.address),
        pools.Pool(make, ("hello",), count=1, need=need, stop=StopRequest()) as pool,
        caplog.at_level(logging.WARNING),
    ):
        jobs = [
            Toy(("die once", str(tmp_path / "died"))),
            Toy(("crowded", str(tmp_path / "crowded"))),
            Toy(("die", None)),
        ]
        errors = {job.name: error for job, error in pool.run(jobs)}
        assert errors["job die once"] is None
        assert errors["job crowded"] is None
        assert isinstance(errors["job die"], WorkFailed)
        assert str(errors["job die"]).startswith(
            "job die was given up after 2 workers died with it"
        )
        assert [seat.need.gpus for seat in pool._seats] == [1.0]
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(":")[0] for line in said] == [
        f"{name} is done again" for name in ("job die once", "job crowded", "job die")
    ]
    assert "a worker takes 1 CPU and 1 of a GPU now" in said[1]
