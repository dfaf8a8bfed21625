"""What the Ray engine costs and gives: rounds of tiny populations, over members and workers.

Starts a Ray cluster of one node on this machine, with as many CPUs as asked for, and trains
populations with members of one thread: in this process, and over the cluster. The ratio is the time
of a round here over that on the cluster; the best is the number of workers. Times leave out the
first round, in which workers warm up.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py --json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from triptych import recipe as recipes
from triptych.classify.pbt import train_population
from triptych.classify.recipes import PopulationRecipe
from triptych.engines.connect import QUIET
from triptych.population.cluster import Crew
from triptych.population.rounds import Interval


class Timed:
    """A cluster that notes how long each round takes."""

    def __init__(self, cluster: Any) -> None:
        self._cluster, self.rounds = cluster, list[float]()

    @contextlib.contextmanager
    def members(self, *arguments: Any, **options: Any) -> Iterator[Crew]:
        with self._cluster.members(*arguments, **options) as crew:

            def train(intervals: Sequence[Interval]) -> Iterator[Interval]:
                started = time.monotonic()
                yield from crew.train(intervals)
                self.rounds.append(time.monotonic() - started)

            yield Crew(train, crew.record)


class Here:
    """The same in this process."""

    @contextlib.contextmanager
    def members(self, make: Any, given: Any, **options: Any) -> Iterator[Crew]:
        train_member = make(*given, options["device"])

        def train(intervals: Sequence[Interval]) -> Iterator[Interval]:
            for each in intervals:
                train_member(each, options["told"](each), options["stop"], options["view"])
                yield each

        yield Crew(train, {"device": "here"})


def measured(cluster: Any, recipe: PopulationRecipe) -> dict[str, float]:
    """Seconds of a round, and bytes that lie on the disk at the end."""
    timed = Timed(cluster)
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        train_population(recipe, 0, run, device="cpu", cluster=timed, show_progress=False)
        live = sum(f.stat().st_size for f in (run / "members").rglob("*") if f.is_file())
    return {
        "members": recipe.members,
        "seconds_a_round": statistics.median(timed.rounds[1:]),
        "members_bytes": live,
        "sent_a_round_bytes": 2 * live,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--members", type=int, nargs="*", default=[2, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", dest="settings", nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    os.environ.update(QUIET)
    import ray
    import torch

    from triptych.engines.ray import RayCluster

    torch.set_num_threads(1)
    ray.init(num_cpus=asked.workers, include_dashboard=False, log_to_driver=False)
    rows = []
    for members in asked.members:
        settings = [f"members={members}", f"epochs={2 * asked.rounds}", *asked.settings]
        recipe = recipes.override(recipes.get("classify/tiny-pbt"), settings)
        assert isinstance(recipe, PopulationRecipe)
        here, there = measured(Here(), recipe), measured(RayCluster(), recipe)
        row = there | {"seconds_a_round_here": here["seconds_a_round"]}
        rows.append(row | {"ratio": here["seconds_a_round"] / there["seconds_a_round"]})
        if not asked.json:
            print(rows[-1], flush=True)
    ray.shutdown()
    found = {"workers": asked.workers, "ratio": rows[-1]["ratio"], "rows": rows}
    if asked.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
