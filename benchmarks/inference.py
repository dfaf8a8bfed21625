"""How much faster is OpenVINO than eager PyTorch at labelling frames on this processor?

    uv run python benchmarks/inference.py [--models espnetv2-s2.0 …] [--size 640x480] [--json]

Every way gets the same 8-bit frames and returns label maps; all are measured in turn, round by
round, so that whatever else the machine does hits all of them. Eager PyTorch labels one frame at a
time on all cores, channels last; OpenVINO labels one frame a core. Speed does not depend on the
weights, so they are drawn. `ratio` is OpenVINO's speed over float32 PyTorch's, the median of the
rounds' ratios, for the first model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from triptych.inference import Prepared, Runtime, Size
from triptych.inference.runners import cores
from triptych.segment.models import create, entry

MODELS = ("espnetv2-s2.0", "espnetv2-s0.5", "dabnet")
PEER = Runtime("torch")
WAYS = (PEER, Runtime("torch", "bfloat16"), Runtime("openvino"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--size", default="640x480", help="width x height")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=8, help="frames of each way in a round")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))

    models = {
        name: measure(name, (height, width), options.rounds, options.frames)
        for name in options.models
    }
    first = next(iter(models.values()))
    result = {"ratio": first["ratio"], "size": options.size, "cores": cores(), "models": models}
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, found in models.items():
        print(f"{name}, {options.size}, {cores()} cores")
        for way, fps in found["fps"].items():
            print(f"  {way:20} {fps:6.1f} frames/s")
        print(f"  ratio of OpenVINO to eager float32 PyTorch: {found['ratio']:.2f}")


def measure(name: str, size: Size, rounds: int, frames: int) -> dict[str, Any]:
    """Median frames per second of every way, and how much faster OpenVINO is."""
    model, known = create(name).eval(), entry(name)
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    prepared = {
        way: Prepared(
            model,
            known.normalisation,
            len(known.classes),
            runtime=way,
            device=torch.device("cpu"),
        )
        for way in WAYS
    }
    for each in prepared.values():
        run(each, picture, frames)  # makes the graphs, fills the caches
    speeds = [
        {way: run(each, picture, frames) for way, each in prepared.items()} for _ in range(rounds)
    ]
    return {
        "fps": {str(way): statistics.median(speed[way] for speed in speeds) for way in WAYS},
        "ratio": statistics.median(speed[WAYS[-1]] / speed[PEER] for speed in speeds),
    }


def run(prepared: Prepared, picture: np.ndarray[Any, np.dtype[np.uint8]], frames: int) -> float:
    """Frames per second with as many callers as the way can use."""
    with ThreadPoolExecutor(prepared.concurrency) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: prepared.labels(picture), range(frames)))
        return frames / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
