"""How much faster is OpenVINO than eager PyTorch at labelling frames on this processor?

    uv run python benchmarks/inference.py [--models espnetv2-s2.0 …] [--size 640x480]
        [--weights-folder DIR] [--json]

Every way gets the same 8-bit frames and returns label maps; all are measured in turn, round by
round, so that whatever else the machine does hits all of them. Eager PyTorch labels one frame at a
time on all cores, channels last; OpenVINO labels one frame a core. Speed hardly depends on the
weights: they are drawn where the folder does not hold the published ones. `ratio` is OpenVINO's
speed over PyTorch's, both in float32, the median of the rounds' ratios, for the first model;
bfloat16 is shown where the processor has it, but with trained weights it often changes more
labels than `triptych predict` allows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from triptych.inference import Prepared, Runtime, Size
from triptych.inference.choice import candidates
from triptych.inference.runners import cores
from triptych.segment.models import create, entry
from triptych.weights import load

MODELS = ("espnetv2-s2.0", "espnetv2-s0.5", "dabnet")
CPU = torch.device("cpu")
PEER, OURS = Runtime("torch"), Runtime("openvino")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--size", default="640x480", help="width x height")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=8, help="frames of each way in a round")
    parser.add_argument("--weights-folder", type=Path, metavar="DIR", help="published weights")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))

    models = {
        name: measure(name, options.weights_folder, (height, width), options.rounds, options.frames)
        for name in options.models
    }
    first = next(iter(models.values()))
    result = {"ratio": first["ratio"], "size": options.size, "cores": cores(), "models": models}
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, found in models.items():
        print(f"{name}, {found['weights']} weights, {options.size}, {cores()} cores")
        for way, fps in found["fps"].items():
            print(f"  {way:20} {fps:6.1f} frames/s")
        print(f"  ratio of OpenVINO to eager float32 PyTorch: {found['ratio']:.2f}")


def measure(name: str, folder: Path | None, size: Size, rounds: int, frames: int) -> dict[str, Any]:
    """Median frames per second of every way, and how much faster OpenVINO is."""
    model, known = create(name).eval(), entry(name)
    file = folder / known.weights.file if folder and known.weights else None
    trained = file is not None and file.is_file()
    if file is not None and trained:
        model.load_published(load(file))
    picture = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    prepared = {
        way: Prepared(model, known.normalisation, len(known.classes), runtime=way, device=CPU)
        for way in candidates("auto", CPU)
    }
    for each in prepared.values():
        run(each, picture, frames)  # makes the graphs, fills the caches
    speeds = [
        {way: run(each, picture, frames) for way, each in prepared.items()} for _ in range(rounds)
    ]
    return {
        "weights": "published" if trained else "drawn",
        "fps": {str(way): statistics.median(speed[way] for speed in speeds) for way in prepared},
        "ratio": statistics.median(speed[OURS] / speed[PEER] for speed in speeds),
    }


def run(prepared: Prepared, picture: np.ndarray[Any, np.dtype[np.uint8]], frames: int) -> float:
    """Frames per second with as many callers as the way can use."""
    with ThreadPoolExecutor(prepared.concurrency) as pool:
        start = time.perf_counter()
        list(pool.map(lambda _: prepared.labels(picture), range(frames)))
        return frames / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
