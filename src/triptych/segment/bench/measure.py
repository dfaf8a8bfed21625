"""One model on one runtime, measured in a process of its own (see `triptych.benching`)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.benching import Length, Task, answer, latency, one_at_a_time, peak_memory, together


@dataclass(frozen=True)
class RuntimeTask(Task):
    """A model on one runtime; `seconds` and `frames` are of latency, and again of throughput."""

    runtime: str
    precision: str
    labels: str
    """A file for the labels of the picture (.npy), to be compared with another runtime's."""


def measure(task: RuntimeTask) -> dict[str, Any]:
    """One row of the table; see `bench` for its fields."""
    import torch

    from triptych.inference import Prepared, Runtime
    from triptych.inference.choice import sample_picture, weights_digest
    from triptych.inference.openvino_library import openvino_library

    if task.runtime == "openvino":
        openvino_library()  # its code counts for the memory before the model
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
    length = Length(task.seconds, task.frames)
    taken = one_at_a_time(lambda: prepared.labels(picture), length)
    fps = 1 / float(np.mean(taken))
    if prepared.concurrency > 1:
        fps = together(lambda: prepared.labels(picture), prepared.concurrency, length)
    on_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {
        "weights": weights,
        "weights_digest": digest,
        "parameters": sum(each.numel() for each in network.model.parameters()),
        "frames_per_second": fps,
        "callers": prepared.concurrency,
        **latency(taken),
        "first_frame_seconds": first,
        "peak_memory_bytes": peak_memory(),
        "memory_before_bytes": before,
        "peak_gpu_memory_bytes": on_gpu,
    }


def _open(task: RuntimeTask) -> tuple[Any, str]:
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


if __name__ == "__main__":
    answer(lambda text: measure(RuntimeTask.from_json(text)))
