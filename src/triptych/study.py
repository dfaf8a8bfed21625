"""A study as the core sees it: how to train, what is scored, what every item contributed.

`compare`, the command line and the report need nothing else of a study, and no study knows them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError
from triptych.recipe import STUDIES
from triptych.stopping import StopRequest


@dataclass(frozen=True)
class Predictions:
    """An arm from outside: what is judged is these predictions, not a way of training."""

    source: str
    """A published model's name, a folder of label images, or a CSV file of class scores."""
    weights: Path | None = None
    """Weights file of a published model, in place of its registered one."""
    size: tuple[int, int] | None = None
    """(height, width) to which frames are resized before the model."""


@dataclass(frozen=True)
class Items:
    """What every item of one evaluation contributed to one metric."""

    keys: tuple[str, ...]
    groups: tuple[str, ...] | None
    """The cluster of every item, such as the drive; None where items are independent."""
    values: NDArray[np.float64]
    """(N,) where the metric is the mean of the values, else (N, …): counts that `pooled` sums."""
    pooled: Callable[[NDArray[np.float64]], float] | None = None
    """The metric from the sum (…) of the counts; None where it is the mean of the values."""
    weighted: Callable[[NDArray[np.float64]], float] | None = None
    """The metric with each item counted so many times (N,), where it follows from no sum, such as
    AP; `values` are then the items' places (N,) among those that this expects."""
    rules: str = ""
    """How items were judged, where a score does not say it, such as the IoU of AP50; what was
    judged by other rules is not compared."""

    @property
    def is_mean(self) -> bool:
        """Whether the metric is the mean of the values."""
        return self.pooled is None and self.weighted is None

    def score(self, weights: NDArray[np.float64] | None = None) -> float:
        """The metric over all items, or with each item counted `weights` (N,) times."""
        if self.weighted is not None:
            counts = np.zeros(len(self.keys))
            counts[self.values.astype(np.int64)] = 1 if weights is None else weights
            return self.weighted(counts)
        if self.pooled is None:
            return float(np.average(self.values, weights=weights))
        counts = self.values if weights is None else self.values * _column(weights, self.values)
        return self.pooled(counts.sum(axis=0))


def _column(weights: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights.reshape(-1, *[1] * (values.ndim - 1))


class Train(Protocol):
    def __call__(
        self,
        recipe: Any,
        seed: int,
        out: Path,
        *,
        device: str = "auto",
        stop: StopRequest | None = None,
        show_progress: bool = True,
    ) -> dict[str, Any]: ...


class TrainOver(Protocol):
    """As `Train`, with the members of a population on machines of a cluster."""

    def __call__(
        self,
        recipe: Any,
        seed: int,
        out: Path,
        *,
        cluster: Any,
        device: str = "auto",
        stop: StopRequest | None = None,
        show_progress: bool = True,
    ) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Study:
    """One study's functions."""

    name: str
    train: Train
    """Train one recipe with one seed in a run folder, or go on; returns the run's result."""
    check: Callable[[Any], None]
    """Raise UserError where a recipe cannot be trained, as far as that is known at once."""
    metrics: Mapping[str, bool]
    """The scores in a result that a comparison may judge → whether higher is better."""
    run_items: Callable[[Path, str], Items | None]
    """(run folder, metric) → items of its evaluation; None where the metric has none."""
    predict_items: Callable[[Predictions, str, str, str, Path], Items]
    """(fixed predictions, data, split, metric, folder for the evaluation) → items of an arm from
    outside."""
    evaluation_items: Callable[[Path, str], Items | None]
    """(folder of an evaluation, score) → its items; None where it has no such score."""
    evaluated_on: Callable[[Any, str], tuple[str, str]]
    """(recipe, metric) → data specification and split of the items that `run_items` gives of its
    runs, as `predict_items` takes them. Raises UserError where fixed predictions cannot be scored
    on the same."""
    preflight: Callable[[Any], None] = lambda recipe: None
    """(recipe) → the weights that it begins with are on this machine, fetched where need be. Raises
    UserError and WorkFailed where they cannot be had."""
    over: Callable[[Any], TrainOver | None] = lambda recipe: None
    """(recipe) → how its members are trained over a `population.cluster.Cluster`; None where it has
    no members."""
    metrics_of: Callable[[Any], Collection[str] | None] = lambda arm: None
    """(recipe or fixed predictions) → which of `metrics` its scores have; None where all have
    all."""
    beside: tuple[str, ...] = ()
    """Further scores in a result, which may stand beside a metric but are not judged."""
    group_unit: str | None = None
    """What clusters of items are called, in the plural; None where items are independent."""


def get(name: str) -> Study:
    """The study of that name. Raises UserError."""
    if name not in STUDIES:
        raise UserError(f"no study '{name}'; there are {', '.join(STUDIES)}")
    study: Study = importlib.import_module(f"triptych.{name}.study").STUDY
    return study


def describe_result(result: Mapping[str, Any]) -> str:
    """A run's result as a person wants to read it."""
    scores = ", ".join(
        f"{name} {value:.4f}" for name, value in result["scores"].items() if value is not None
    )
    lines = [
        f"{result['recipe']} seed {result['seed']}: {scores} on {result['data']}",
        f"{result['epochs']} epochs, {result['updates']} updates, {result['samples']} samples, "
        f"{result['parameters']:,} parameters, {result['times']['seconds']:.0f} s",
    ]
    if result["diverged"]:
        lines.append("the training diverged: its loss became infinite; a smaller lr may help")
    if "run" in result:
        lines.append(f"run folder: {result['run']}")
    return "\n".join(lines)
