"""The curves of a comparison's cells: scores and losses over epochs and samples.

A run's events are in its `metrics.jsonl`. A population has them by member: its curve is that of
the member that is best at the end of each round, and its samples are those of all members.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from triptych.compare.folder import cell
from triptych.errors import UserError
from triptych.population.lineage import FILE as LINEAGE
from triptych.population.lineage import Round, read_lineage
from triptych.population.member import MEMBERS
from triptych.run import METRICS, read_result

TRAIN = "train"
LOSS = "loss"


@dataclass(frozen=True)
class Point:
    """One score after one epoch of one cell."""

    epoch: int
    arm: str
    seed: int
    split: str
    """`train` for what was trained on, whatever its name, else as the run calls it."""
    metric: str
    """The comparison's metric, or `loss`."""
    score: float | None
    """None where it was not finite."""
    samples: float | None = None
    """Trained on until then; None where no run of the arm has ended yet, which would tell."""


def curve_metric(metric: str) -> str:
    """What a comparison's metric is called in the events of a run: these name their split."""
    return metric.removeprefix("val_")


def points_of_arm(folder: Path, arm: str, seeds: Iterable[int], metric: str) -> list[Point]:
    """All points of an arm's cells, by seed and time; a cell in work counts as far as it is.

    An event holds no samples, but every epoch of an arm has as many: those of a run that ended,
    by its epochs.
    """
    runs = {seed: cell(folder, arm, seed) for seed in seeds}
    rates = {seed: _samples_an_epoch(run) for seed, run in runs.items()}
    usual = next((rate for rate in rates.values() if rate is not None), None)
    points = []
    for seed, run in runs.items():
        rate = rates[seed] or usual
        for event, samples in _told(run):
            if "epoch" not in event:
                continue
            if samples is None and rate is not None:
                samples = rate * event["epoch"]
            # Only a training event has a learning rate.
            split = TRAIN if "lr" in event else event["split"]
            names = (LOSS,) if split == TRAIN else dict.fromkeys((curve_metric(metric), LOSS))
            points += [
                Point(event["epoch"], arm, seed, split, name, event[name], samples)
                for name in names
                if name in event and (event[name] is None or _is_number(event[name]))
            ]
    return points


def evaluation_split(points: Sequence[Point], asked: str = "val") -> str | None:
    """The split that curves are shown on: the one asked for, else the first that has any point."""
    splits = list(dict.fromkeys(point.split for point in points if point.split != TRAIN))
    return asked if asked in splits else next(iter(splits), None)


def _samples_an_epoch(run: Path) -> float | None:
    result = read_result(run)
    if result is None or not result.get("epochs"):
        return None
    samples, epochs = result.get("samples"), result["epochs"]
    return float(samples / epochs) if _is_number(samples) and _is_number(epochs) else None


def _told(run: Path) -> Iterator[tuple[dict[str, Any], float | None]]:
    """A run's events, with the samples until then where the run is a population."""
    if rounds := _rounds(run):
        members = {past.best: run / MEMBERS / str(past.best) for past in rounds}
        told = {best: events_in(member / METRICS) for best, member in members.items()}
        samples = 0
        for past in rounds:
            samples += sum(each.samples for each in past.outcomes)
            for event in told[past.best]:
                if event.get("epoch") == past.epoch:
                    yield event, samples
    for event in events_in(run / METRICS):
        yield event, None


def _rounds(run: Path) -> list[Round]:
    """The complete rounds of a population; none of a single training."""
    try:
        return read_lineage(run).rounds if (run / LINEAGE).exists() else []
    except UserError:
        return []  # killed before its first line was whole


def events_in(file: Path) -> list[dict[str, Any]]:
    """The events of a training: those of `records_in` that name their split."""
    return [event for event in records_in(file) if isinstance(event.get("split"), str)]


def records_in(file: Path) -> list[dict[str, Any]]:
    """The records of a journal up to the first line that is not whole; none of no journal.

    Left out are a line that is no record, such as `3`, and one whose epoch is no number.
    """
    try:
        lines = file.read_bytes().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            break  # a run in work may be in the middle of its last line
        if isinstance(record, dict) and _is_number(record.get("epoch", 0)):
            found.append(record)
    return found


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
