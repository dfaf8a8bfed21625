"""What every study's `bench` does: a model measured in a process of its own, and how it is timed.

The process is fresh, so its peak memory is this model's, and no model profits from what another
left behind. It is `python -m MODULE < task.json > row.json`.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.errors import TriptychError

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


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, numbered where two are equal."""
    result: list[str] = []
    for name in names:
        unused, number = name, 1
        while unused in result:
            number += 1
            unused = f"{name} ({number})"
        result.append(unused)
    return result


def table(
    record: Mapping[str, Any], remark: Callable[[Mapping[str, Any]], str] = lambda row: ""
) -> list[str]:
    """The rows of a record as lines for a person, each with a `remark` on it."""
    lines = [
        f"{record['size']}, {record['processor']}, {record['cores']} cores, {record['device']}",
        f"{'model':<24} {'runtime':<20} {'frames/s':>9} {'p50 ms':>8} {'p95 ms':>8} "
        f"{'n':>6} {'memory':>9} {'weights':>10}",
    ]
    for row in record["rows"]:
        runtime = f"{row['runtime']} {row['precision']}"
        if "error" in row:
            lines.append(f"{row['model']:<24} {runtime:<20} failed: {row['error']}")
            continue
        memory = f"{row['peak_memory_bytes'] / 2**20:.0f} MiB"
        slow = row["latency_p95_ms"]
        said = remark(row)
        lines.append(
            f"{row['model']:<24} {runtime:<20} {row['frames_per_second']:>9.1f} "
            f"{row['latency_p50_ms']:>8.1f} {'-' if slow is None else f'{slow:.1f}':>8} "
            f"{row['latency_frames']:>6} {memory:>9} {row['weights']:>10}"
            f"{f'  {said}' if said else ''}"
        )
    if any("error" not in row and row["latency_p95_ms"] is None for row in record["rows"]):
        lines.append(f"p95: only of n = {ENOUGH_FOR_P95} frames or more")
    return lines
