"""How fast are the segmentation models on this processor, bare and from end to end?

    uv run python benchmarks/segment_speed.py [--models street espnetv2-s2.0 …] [--size 480x360]
        [--peer hrnet48-ocr-hms-if] [--rounds 3] [--seconds 4] [--reduced] [--json]

All models get the same frames of a drawn street. For each of them, on PyTorch and on OpenVINO, both
in float32 (`--reduced` adds bfloat16 where the processor has it):

- bare: 8-bit frames in memory to label maps, with as many callers as the runtime can use;
- end to end: `triptych predict` on a video of the frames, from file to file: decoding, labelling,
  stability, drawing, encoding;
- without stability: the same with `--no-stability`.

They are measured in turn, round by round, so that whatever else the machine does hits all of them;
each figure is the median of the rounds. A slow model gets as few frames as last `--seconds`, at
least 4. Speed does not depend on the weights: they are drawn at random. A model that this version
does not have is left out and named. `ratio` is how many times faster the first model is than the
peer, the original's network, from end to end and each on its faster runtime.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch

from triptych.data.labelled import Image
from triptych.data.streets import scene
from triptych.inference import Prepared, Runtime, Size
from triptych.inference.choice import candidates, processor
from triptych.inference.runners import cores
from triptych.progress import Bar, bar
from triptych.segment.models import is_name
from triptych.segment.network import untrained_network
from triptych.segment.open_labeller import NetworkLabeller
from triptych.segment.predict import PredictOptions, predict
from triptych.video import write_video

MODELS = (
    "street", "tiny", "espnetv2-s2.0", "espnetv2-s0.5", "dabnet",
    "hrnet16s-if", "hrnet18-if", "hrnet48-ocr-if", "hrnet48-ocr-hms-if",
)  # fmt: skip
PEER = "hrnet48-ocr-hms-if"
RATE = Fraction(15)
DRAWN, MOST, LEAST = 24, 300, 4
"""Frames that are drawn and then repeated, and of a measurement."""
KINDS = ("bare", "end_to_end", "without_stability")


@dataclass(frozen=True)
class Way:
    """One model on one runtime."""

    model: str
    runtime: Runtime
    labeller: NetworkLabeller
    frames: int
    """Of a measurement."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--peer", default=PEER)
    parser.add_argument("--size", default="480x360", help="width x height")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a measurement, about")
    parser.add_argument("--reduced", action="store_true", help="bfloat16 too")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))

    wanted = list(dict.fromkeys([*options.models, options.peer]))
    missing = [name for name in wanted if not is_name(name)]
    for name in missing:
        print(f"left out: this version has no model {name}", file=sys.stderr)
    names = [name for name in wanted if name not in missing]
    measured = measure(names, (height, width), options)
    result = {
        "ratio": ratio(measured, options.models[0], options.peer),
        "of": options.models[0],
        "peer": options.peer,
        "size": options.size,
        "processor": processor(),
        "cores": cores(),
        "rounds": options.rounds,
        "frames_per_second": measured,
        "missing": missing,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{options.size}, {result['processor']}, {cores()} cores, frames per second")
    print(f"{'model':<22} {'runtime':<18} " + " ".join(f"{kind:>17}" for kind in KINDS))
    for name, ways in measured.items():
        for way, found in ways.items():
            print(f"{name:<22} {way:<18} " + " ".join(f"{found[kind]:>17.1f}" for kind in KINDS))
    if result["ratio"] is not None:
        print(f"ratio of {result['of']} to {result['peer']}, end to end: {result['ratio']:.1f}")


def measure(
    names: list[str], size: Size, options: argparse.Namespace
) -> dict[str, dict[str, dict[str, float]]]:
    """Median frames per second by model, runtime and kind."""
    street = scene(3, size=size, frames=DRAWN)
    images = [street[index].image for index in range(DRAWN)]
    runtimes = [
        each
        for each in candidates("auto", torch.device("cpu"))
        if options.reduced or each.precision == "float32"
    ]
    rounds: list[dict[tuple[str, str, str], float]] = []
    with tempfile.TemporaryDirectory() as folder:
        ways = [
            prepare(name, runtime, images[0], options.seconds)
            for name in names
            for runtime in runtimes
        ]
        clips = {
            count: clip(Path(folder) / f"{count}.mp4", images, count)
            for count in {way.frames for way in ways}
        }
        with bar("speed", options.rounds * len(ways), unit="measurements") as progress:
            for _ in range(options.rounds):
                found = one_round(ways, images, clips, Path(folder) / "out", progress)
                rounds.append(found)
    return {
        name: {
            str(runtime): {
                kind: statistics.median(each[name, str(runtime), kind] for each in rounds)
                for kind in KINDS
            }
            for runtime in runtimes
        }
        for name in names
    }


def one_round(
    ways: list[Way], images: list[Image], clips: dict[int, Path], out: Path, progress: Bar
) -> dict[tuple[str, str, str], float]:
    """Frames per second of every way, each kind once."""
    found = {}
    for way in ways:
        source = clips[way.frames]
        kinds = {
            "bare": partial(bare, way, images),
            "end_to_end": partial(whole, way, source, out, True),
            "without_stability": partial(whole, way, source, out, False),
        }
        for kind, run in kinds.items():
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
            found[way.model, str(way.runtime), kind] = way.frames / seconds
        progress.advance(note=f"{way.model}, {way.runtime}")
    return found


def prepare(name: str, runtime: Runtime, image: Image, seconds: float) -> Way:
    """A model with its graph made, and how many frames of it last about `seconds`."""
    network = untrained_network(name)
    prepared = Prepared(
        network.model,
        network.normalisation,
        len(network.classes),
        runtime=runtime,
        device=torch.device("cpu"),
    )
    prepared.labels(image[None])
    start = time.perf_counter()
    prepared.labels(image[None])
    fps = prepared.concurrency / (time.perf_counter() - start)
    count = min(max(round(seconds * fps), LEAST), MOST)
    return Way(name, runtime, NetworkLabeller(name, network.classes, prepared), count)


def bare(way: Way, images: list[Image]) -> None:
    with ThreadPoolExecutor(way.labeller.concurrency) as pool:
        frames = repeated(images, way.frames)
        list(pool.map(lambda image: way.labeller.labels(image[None], []), frames))


def whole(way: Way, source: Path, out: Path, stability: bool) -> None:
    options = PredictOptions(stability=stability, progress=False)
    predict(source, [way.labeller], out, options)


def clip(path: Path, images: list[Image], count: int) -> Path:
    write_video(path, repeated(images, count), RATE)
    return path


def repeated(images: list[Image], count: int) -> Iterator[Image]:
    return itertools.islice(itertools.cycle(images), count)


def ratio(measured: dict[str, dict[str, dict[str, Any]]], of: str, peer: str) -> float | None:
    """From end to end, each on its faster runtime; None where one of the two is missing."""
    if of not in measured or peer not in measured:
        return None
    best = {
        name: max(float(found["end_to_end"]) for found in measured[name].values())
        for name in (of, peer)
    }
    return best[of] / best[peer]


if __name__ == "__main__":
    main()
