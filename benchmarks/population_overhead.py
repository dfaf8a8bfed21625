"""Which share of a population's training time is the population itself?

    uv run python benchmarks/population_overhead.py [--model resnext-small] [--data SPEC]
        [--images 512] [--members 4] [--rounds 2] [--interval 10] [--threads 1] [--json]

Trains a real population and takes the time of its parts: training, scoring on validation,
checkpoints, copying of weights, and the rest (deciding, records). The proportions are those of the
published recipe: a round every 10 epochs, a ninth as many images to validate on as to train on.
`ratio` is all but training over training, by the clock; `processor_ratio` the same by processor
time, which waiting for the disk and other processes do not enter.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from triptych import recipe as recipes
from triptych.classify import pbt
from triptych.classify.recipes import PopulationRecipe
from triptych.population import rounds
from triptych.population.member import Member


class Clocks:
    """Seconds by the clock and of the processor in each part; time in a part within another counts
    for the inner one alone."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.processor: dict[str, float] = defaultdict(float)
        self._part: list[str] = []
        self._since = (0.0, 0.0)

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*arguments: Any, **options: Any) -> Any:
            self._close()
            self._part.append(part)
            try:
                return function(*arguments, **options)
            finally:
                self._close()
                self._part.pop()

        return timing

    def _close(self) -> None:
        """Add what passed since the last change to the part that was open."""
        now = time.perf_counter(), time.process_time()
        if self._part:
            self.wall[self._part[-1]] += now[0] - self._since[0]
            self.processor[self._part[-1]] += now[1] - self._since[1]
        self._since = now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnext-small")
    parser.add_argument("--data", help="default: objects, which are made by program")
    parser.add_argument("--images", type=int, default=512, help="to train on")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--interval", type=int, default=10, help="epochs")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clocks = measured(options)
    result = {
        "ratio": share(clocks.wall),
        "processor_ratio": share(clocks.processor),
        "seconds": {name: round(value, 3) for name, value in sorted(clocks.wall.items())},
        "processor_seconds": {n: round(v, 3) for n, v in sorted(clocks.processor.items())},
        **{name: value for name, value in vars(options).items() if name != "json"},
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, seconds in result["seconds"].items():
        print(f"{name}: {seconds:.2f} s, {result['processor_seconds'][name]:.2f} s of processor")
    print(f"ratio {result['ratio']:.4f} (of processor time {result['processor_ratio']:.4f})")


def share(seconds: dict[str, float]) -> float:
    """All but training, over training."""
    return (sum(seconds.values()) - seconds["training"]) / seconds["training"]


def measured(options: argparse.Namespace) -> Clocks:
    """The time of every part of one population."""
    recipe = recipes.get("classify/small-pbt")
    assert isinstance(recipe, PopulationRecipe)
    val = max(options.images // 9, 1)
    given = options.data is not None
    recipe = replace(
        recipe,
        model=options.model,
        data=options.data or f"objects:train={options.images},val={val},test=20",
        train_images=options.images if given else None,
        val_images=val if given else None,
        test_images=20 if given else None,
        # Processors without bfloat16 instructions would take ten times as long to train.
        precision="float32",
        members=options.members,
        epochs=options.rounds * options.interval,
        interval=options.interval,
        evaluate_every=options.interval,
    )
    clocks = Clocks()
    for owner, name, part in (
        (pbt, "run_rounds", "the rest"),
        (pbt, "train_epoch", "training"),
        (pbt, "validate", "scoring"),
        (Member, "_save", "checkpoints"),
        (Member, "restore", "copying"),
        (Member, "take_over", "copying"),
        (rounds, "show_best", "copying"),
    ):
        setattr(owner, name, clocks.timed(part, getattr(owner, name)))
    with tempfile.TemporaryDirectory() as folder:
        pbt.train_population(recipe, 0, Path(folder) / "run", device="cpu", show_progress=False)
    return clocks


if __name__ == "__main__":
    main()
