"""One detector, measured in a process of its own (see `triptych.benching`)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from triptych.benching import Length, Task, answer, latency, one_at_a_time, peak_memory


def measure(task: Task) -> dict[str, Any]:
    """One row of the table; see `bench` for its fields."""
    import torch

    from triptych.detect.models import is_name
    from triptych.detect.network import open_network, untrained_network, whose_weights
    from triptych.detect.predictor import NetworkPredictor
    from triptych.inference.choice import sample_picture, weights_digest

    before = peak_memory()
    file = None if task.weights is None else Path(task.weights)
    random = file is None and is_name(task.model)
    network = untrained_network(task.model) if random else open_network(task.model, file)
    digest = weights_digest(network.model)
    device = torch.device(task.device)
    predictor = NetworkPredictor(network.name, network.classes, network.model.to(device))
    picture = sample_picture(task.size)[0]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    found = predictor.predict([picture], [""])[0]
    first = time.perf_counter() - start
    # Detections come back as arrays, so a call ends when the device has done its work.
    taken = one_at_a_time(
        lambda: predictor.predict([picture], [""]), Length(task.seconds, task.frames)
    )
    on_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return {
        "weights": "random" if random else whose_weights(task.model, file),
        "weights_digest": digest,
        "parameters": sum(each.numel() for each in network.model.parameters()),
        "detections": len(found),
        "frames_per_second": 1 / float(np.mean(taken)),
        "callers": 1,
        **latency(taken),
        "first_frame_seconds": first,
        "peak_memory_bytes": peak_memory(),
        "memory_before_bytes": before,
        "peak_gpu_memory_bytes": on_gpu,
    }


if __name__ == "__main__":
    answer(lambda text: measure(Task.from_json(text)))
