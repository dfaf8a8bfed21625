"""A model measured in a process of its own.

The process is fresh, so its peak memory is this model's, and no model profits from what another
left behind. It is `python -m MODULE < task.json > row.json`.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from triptych.errors import TriptychError


@dataclass(frozen=True)
class Task:
    """What a process is asked to measure; a study may add to it."""

    model: str
    weights: str | None
    """A file; None for those of a run, or for published or random ones of a name."""
    device: str
    size: tuple[int, int]
    """(height, width) of the pictures."""
    seconds: float
    frames: int | None
    """How many pictures to measure instead."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        return cls(**{**fields, "size": tuple(fields["size"])})


def run_in_own_process(module: str, task: str) -> dict[str, Any]:
    """Run `module` with a task (JSON) in a fresh process; a row with `error` where that fails."""
    command = [sys.executable, "-m", module]
    done = subprocess.run(command, input=task, capture_output=True, text=True, check=False)
    try:
        row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return row
    except (IndexError, ValueError):
        pass
    if done.returncode < 0:
        how = signal.Signals(-done.returncode).name
        return {"error": f"its process ended by {how}{_MEMORY if how == 'SIGKILL' else ''}"}
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    return {"error": f"its process ended with code {done.returncode}: {''.join(last)}"}


_MEMORY = ": most likely this machine has too little memory for it"


def answer(measure: Callable[[str], dict[str, Any]]) -> None:
    """The other side: measure the task on stdin, print the row on stdout."""
    try:
        row = measure(sys.stdin.read())
    except TriptychError as error:
        row = {"error": str(error)}
    except Exception as error:  # whatever a runtime raises is this row's result
        text = " ".join(str(error).split()) or "no message"
        row = {"error": f"{type(error).__name__}: {text}"}
    print(json.dumps(row))


def peak_memory() -> int:
    """The most memory that this process has had resident so far, in bytes.

    On Linux from /proc: getrusage there starts from what the parent had when it forked.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
