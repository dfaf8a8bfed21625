"""What `bench` found: rows of speed, and with the scores that are known the points."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.benching.known_scores import (
    Measured,
    Metric,
    Model,
    Score,
    own_scores,
    read_scores,
    scores_of,
)
from triptych.benching.points import Row, points
from triptych.benching.table import unique_names

if TYPE_CHECKING:
    import torch

log = logging.getLogger("triptych")


@dataclass(frozen=True)
class Scoring:
    """The models of a bench, and the scores that may be theirs."""

    metric: Metric
    models: Mapping[str, Model]
    """By the names that are shown, numbered where two are equal."""
    scores: Sequence[Score]
    """Those of the models' own runs, then those that were named."""
    named: bool
    """Whether somebody named any."""

    @classmethod
    def of(cls, metric: Metric, models: Sequence[Model], places: Sequence[Path]) -> Scoring:
        """Read what lies in the models' runs and in `places`. Raises UserError (`read_scores`)."""
        shown = unique_names([model.name for model in models])
        scores = [*own_scores(models, metric), *read_scores(places, metric)]
        return cls(metric, dict(zip(shown, models, strict=True)), scores, bool(places))


def bench_record(
    scoring: Scoring,
    rows: Sequence[dict[str, Any]],
    *,
    size: tuple[int, int],
    device: torch.device,
    rule: str,
    against: Callable[[Row], str] = lambda row: "",
) -> dict[str, Any]:
    """The record of a bench at `size` (height, width), see `points`.

    Rows have the names that are shown, and where they have no `error`, their `weights` and
    `weights_digest`. Scores that were named and are of none of a model's weights are told of.
    """
    from triptych.inference.choice import processor
    from triptych.inference.runners import cores
    from triptych.runtime import runtime_record
    from triptych.training.device import device_name

    measured = _measured(scoring.models, rows)
    found = scores_of(list(measured.values()), scoring.scores, scoring.metric)
    scores = dict(zip(measured, found, strict=True))
    for name, score in scores.items():
        if scoring.named and (score is None or score.claimed):
            log.warning("--scores: none of them is of %s with these weights", name)
    return {
        "size": f"{size[1]}x{size[0]}",
        "device": device_name(device),
        "processor": processor(),
        "cores": cores(),
        "versions": runtime_record(str(device))["versions"],
        "rule": rule,
        "metric": scoring.metric.name,
        "rows": list(rows),
        "points": points(rows, scores, against),
    }


def _measured(models: Mapping[str, Model], rows: Sequence[Row]) -> dict[str, Measured]:
    """The models of which a row could be measured."""
    result = {}
    for name, model in models.items():
        row = next((row for row in rows if row["model"] == name and "error" not in row), None)
        if row is not None:
            result[name] = Measured(model, row["weights"], row["weights_digest"])
    return result
