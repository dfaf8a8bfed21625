"""What does Population Based Training itself cost, against Ray Tune's?

    uv run python benchmarks/population.py [--members 8] [--rounds 10]
        [--megabytes 20] [--seed 0] [--json]

Both populations do the same rounds of no work: every member "trains" by changing a number, is
scored, and writes a checkpoint of so many megabytes; then the worst quarter takes over the best's
checkpoint and explores. Ray Tune's is its own `PopulationBasedTraining` with `synch=True`, in a
cluster on this machine. `ratio` is its time over ours; also said are the megabytes and checkpoints
that each leaves on the disk, and how many explored values left their range.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from triptych.population.live import live
from triptych.population.member import Member
from triptych.population.records import Outcome
from triptych.population.rounds import Interval, one_after_another, run_rounds
from triptych.population.space import LogUniform, Space, Uniform
from triptych.recipe import Recipe
from triptych.run import Run

LOW, HIGH = 1e-6, 1e-3
SPACE = Space({"lr": LogUniform(LOW, HIGH), "drop": Uniform(0.0, 0.3)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=20, help="size of a checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {
        name: measured(way, options) for name, way in (("ours", our_rounds), ("ray", ray_rounds))
    }
    result = {
        "ratio": found["ray"]["seconds"] / found["ours"]["seconds"],
        "members": options.members,
        "rounds": options.rounds,
        "megabytes": options.megabytes,
        **found,
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, each in found.items():
        print(
            f"{name}: {each['seconds']:.2f} s, {each['checkpoints']} checkpoints with "
            f"{each['megabytes_left']:.0f} MB left, {each['outside']} of {each['values']} values "
            "left their range"
        )
    print(f"ratio {result['ratio']:.1f}")


def measured(way: Callable[[Path, argparse.Namespace], Any], options: Any) -> dict[str, Any]:
    """Time, disk and explored values of one way; its folder is removed."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        seconds, hypers = way(Path(folder), options)
        weights = {file.stat().st_ino: file for file in Path(folder).rglob("weights.npy")}
        return {
            "seconds": round(seconds, 3),
            "checkpoints": len(list(Path(folder).rglob("weights.npy"))),
            # A hard link takes no room.
            "megabytes_left": round(sum(f.stat().st_size for f in weights.values()) / 1e6, 1),
            "values": 2 * len(hypers),
            "outside": sum(
                not dimension.contains(each[name]) for each in hypers for name, dimension in SPACE
            ),
        }


def score(number: int, lr: float) -> float:
    """Higher rates are better, so that exploring leads to the end of the range."""
    return number + float(np.log(lr))


@dataclass
class Nothing:
    """A state of so many megabytes."""

    weights: Any
    step: int = 0
    hypers: dict[str, float] = field(default_factory=dict)

    def write(self, folder: Path) -> dict[str, Any]:
        np.save(folder / "weights.npy", self.weights)
        return {"step": self.step, "hypers": self.hypers}

    def read(self, folder: Path, counters: dict[str, Any]) -> None:
        self.weights = np.load(folder / "weights.npy")
        self.step, self.hypers = counters["step"], counters["hypers"]


def our_rounds(folder: Path, options: argparse.Namespace) -> tuple[float, list[dict[str, float]]]:
    """Seconds, and the hyperparameters of every member in every round."""
    states = [Nothing(megabytes(options)) for _ in range(options.members)]
    recipe = Recipe(name="benchmark/pbt", model="none", data="none", epochs=1, batch_size=1, lr=0.0)

    def train(work: Interval) -> None:
        state = states[work.member]
        if work.moved:
            work.folder.restore(state)
        state.step, state.hypers = state.step + 1, dict(work.hypers)
        state.weights[0] = state.step
        found = score(state.step, work.hypers["lr"])
        work.folder.log(state.step, "val", score=found)
        work.folder.finish(state, Outcome(found, 1, 1, {"score": found}))

    started = time.perf_counter()
    with ExitStack() as stack:
        run = stack.enter_context(Run.open(folder / "run", recipe, options.seed, {}))
        members = [
            stack.enter_context(Member(folder / "run" / "members" / str(index), deferred=True))
            for index in range(options.members)
        ]
        view = stack.enter_context(live("benchmark", len(members), options.rounds, show=False))
        ends = range(1, options.rounds + 1)
        lineage = run_rounds(
            run, members, SPACE, options.seed, ends, one_after_another(train), view
        )
        run.finish({})
    seconds = time.perf_counter() - started
    return seconds, [each for past in lineage.rounds for each in lineage.hypers(past.number)]


def ray_rounds(folder: Path, options: argparse.Namespace) -> tuple[float, list[dict[str, float]]]:
    """The same by Ray Tune; starting its cluster is not counted."""
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    # Under `uv run` Ray would else install this project anew for every worker.
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    import ray
    from ray import tune
    from ray.tune.schedulers import PopulationBasedTraining

    size, rounds = options.megabytes, options.rounds
    tried = folder / "tried.jsonl"

    def train(config: dict[str, float]) -> None:
        weights, number = np.zeros(size * 10**6 // 8), 0
        if (checkpoint := tune.get_checkpoint()) is not None:
            with checkpoint.as_directory() as place:
                weights = np.load(Path(place) / "weights.npy")
                number = int(weights[0])
        while number < rounds:
            number += 1
            weights[0] = number
            with tempfile.TemporaryDirectory() as place:
                np.save(Path(place) / "weights.npy", weights)
                found = number + float(np.log(config["lr"]))
                with tried.open("a") as stream:
                    print(json.dumps(config), file=stream)
                told = {"score": found, "number": number}
                tune.report(told, checkpoint=tune.Checkpoint.from_directory(place))

    ray.init(logging_level=logging.ERROR, log_to_driver=False, include_dashboard=False)
    try:
        scheduler = PopulationBasedTraining(
            time_attr="number",
            perturbation_interval=1,
            hyperparam_mutations={"lr": tune.loguniform(LOW, HIGH), "drop": tune.uniform(0, 0.3)},
            synch=True,
        )
        tuner = tune.Tuner(
            train,
            param_space={"lr": tune.loguniform(LOW, HIGH), "drop": tune.uniform(0, 0.3)},
            tune_config=tune.TuneConfig(
                metric="score", mode="max", num_samples=options.members, scheduler=scheduler
            ),
            run_config=tune.RunConfig(
                storage_path=str(folder), name="ray", verbose=0, stop={"number": rounds}
            ),
        )
        started = time.perf_counter()
        tuner.fit()
        seconds = time.perf_counter() - started
    finally:
        ray.shutdown()
    return seconds, [json.loads(line) for line in tried.read_text().splitlines()]


def megabytes(options: argparse.Namespace) -> Any:
    return np.zeros(options.megabytes * 10**6 // 8)


if __name__ == "__main__":
    main()
