"""How every cell of a comparison went: the points of its curves, out of `metrics.jsonl`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from triptych.compare.folder import cell
from triptych.report.tables import Verdict, arms_of, is_fixed

TRAIN = "train"
SHORT = 25


@dataclass(frozen=True)
class Point:
    """One score after one epoch of one cell."""

    epoch: int
    arm: str
    seed: int
    split: str
    """`train` for what was trained on, whatever its name, else as the run calls it."""
    metric: str
    """`loss` on `train`, the comparison's metric elsewhere."""
    score: float | None
    """None where it was not finite."""


def read_history(folder: Path, verdict: Verdict) -> list[Point]:
    """All points of the cells that `verdict` knows, by arm, seed and time.

    Cells that are still in work count as far as they are; fixed predictions have none.
    """
    if is_fixed(verdict):
        return []
    metric = verdict["metric"].removeprefix("val_")
    points = []
    for arm in arms_of(verdict):
        for seed in sorted(map(int, verdict["arms"][arm]["states"])):
            for event in _events(cell(folder, arm, seed) / "metrics.jsonl"):
                # Only a training event has a learning rate.
                split = TRAIN if "lr" in event else str(event["split"])
                name = "loss" if split == TRAIN else metric
                if name in event and "epoch" in event:
                    points.append(Point(event["epoch"], arm, seed, split, name, event[name]))
    return points


def _events(file: Path) -> Iterable[dict[str, Any]]:
    try:
        lines = file.read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            return  # a run in work may be in the middle of its last line


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about `most` points: of each cell's curves only every k-th point, and the last.

    Curves of up to 25 points stay whole. An epoch that is kept is kept for all seeds of an arm, so
    that a mean over seeds stays one.
    """
    step = -(-len(points) // most)
    curves: dict[tuple[str, int, str], list[Point]] = {}
    for point in points:
        curves.setdefault((point.arm, point.seed, point.split), []).append(point)
    ends = {(curve[-1].arm, curve[-1].split, curve[-1].epoch) for curve in curves.values()}
    kept = []
    for curve in curves.values():
        every = step if len(curve) > SHORT else 1
        kept += [
            point
            for index, point in enumerate(curve, 1)
            if index % every == 0 or (point.arm, point.split, point.epoch) in ends
        ]
    return kept


def to_csv(points: Iterable[Point]) -> str:
    """One line a point, scores to 6 digits, under the names of `Point`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in fields(Point))
    for point in points:
        *rest, value = astuple(point)
        writer.writerow([*rest, "" if value is None else f"{value:.6g}"])
    return text.getvalue()
