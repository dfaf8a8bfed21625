"""One model on one runtime, measured in a process of its own.

    python -m triptych.segment.bench.measure < task.json > row.json

The process is fresh, so its peak memory is this model's, and no model profits from what another
left behind.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
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
class Task:
    """What to measure."""

    model: str
    weights: str | None
    """A file; None for the published weights, or random ones where those are not here."""
    runtime: str
    precision: str
    device: str
    size: tuple[int, int]
    """(height, width) of the pictures."""
    seconds: float
    """How long to measure latency, and how long throughput."""
    frames: int | None
    """How many frames to label instead, for each of them."""
    labels: str
    """A file for the labels of the picture (.npy), to be compared with another runtime's."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Task:
        fields = json.loads(text)
        return Task(**{**fields, "size": tuple(fields["size"])})


def measure(task: Task) -> dict[str, Any]:
    """One row of the table; see `bench` for its fields."""
    import torch

    from triptych.inference import Prepared, Runtime
    from triptych.inference.choice import sample_picture, weights_digest

    if task.runtime == "openvino":
        import openvino  # noqa: F401  # its code counts for the memory before the model
    before = peak_memory()
    network, weights = _open(task)
    digest = weights_digest(network.model)
    device = torch.device(task.device)
    runtime = Runtime(task.runtime, task.precision)  # type: ignore[arg-type]
    prepared = Prepared(
        network.model,
        network.normalisation,
        len(network.classes),
        runtime=runtime,
        device=device,
    )
    picture = sample_picture(task.size)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    labels = prepared.labels(picture)
    first = time.perf_counter() - start
    np.save(task.labels, labels)
    for _ in range(WARM_UP):
        prepared.labels(picture)
    latency = _one_at_a_time(lambda: prepared.labels(picture), task)
    fps = 1 / float(np.mean(latency))
    if prepared.concurrency > 1:
        fps = _together(lambda: prepared.labels(picture), prepared.concurrency, task)
    on_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {
        "weights": weights,
        "weights_digest": digest,
        "parameters": sum(each.numel() for each in network.model.parameters()),
        "frames_per_second": fps,
        "callers": prepared.concurrency,
        "latency_p50_ms": 1000 * float(np.quantile(latency, 0.5)),
        "latency_p95_ms": p95(latency),
        "latency_frames": len(latency),
        "first_frame_seconds": first,
        "peak_memory_bytes": peak_memory(),
        "memory_before_bytes": before,
        "peak_gpu_memory_bytes": on_gpu,
    }


def _open(task: Task) -> tuple[Any, str]:
    """The network, and whose weights it has."""
    from triptych.segment.models import entry
    from triptych.segment.network import open_network, untrained_network, whose_weights
    from triptych.weights import find

    file = None if task.weights is None else Path(task.weights)
    whose = whose_weights(task.model, file)
    if whose == "published":
        published = entry(task.model).weights
        if published is None or find(published) is None:
            return untrained_network(task.model), "random"
    return open_network(task.model, file), whose


def p95(seconds: Sequence[float]) -> float | None:
    """The 95th percentile in milliseconds; None of fewer calls than `ENOUGH_FOR_P95`."""
    if len(seconds) < ENOUGH_FOR_P95:
        return None
    return 1000 * float(np.quantile(seconds, 0.95))


def _one_at_a_time(call: Callable[[], object], task: Task) -> list[float]:
    """Seconds of each call, one after the other."""
    found: list[float] = []
    begin = time.perf_counter()
    while len(found) < LEAST or not _enough(len(found), begin, task):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def _together(call: Callable[[], object], callers: int, task: Task) -> float:
    """Calls per second of several callers at once."""
    begin = time.perf_counter()
    share = None if task.frames is None else -(-max(task.frames, LEAST) // callers)

    def work(_: int) -> int:
        done = 0
        while done < share if share is not None else not _enough(done, begin, task) or not done:
            call()
            done += 1
        return done

    with ThreadPoolExecutor(callers) as pool:
        done = sum(pool.map(work, range(callers)))
    return done / (time.perf_counter() - begin)


def _enough(done: int, begin: float, task: Task) -> bool:
    if task.frames is not None:
        return done >= task.frames
    return time.perf_counter() - begin >= task.seconds


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


def main() -> None:
    task = Task.from_json(sys.stdin.read())
    try:
        row = measure(task)
    except TriptychError as error:
        row = {"error": str(error)}
    except Exception as error:  # whatever a runtime raises is this row's result
        text = " ".join(str(error).split()) or "no message"
        row = {"error": f"{type(error).__name__}: {text}"}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
