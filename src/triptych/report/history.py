"""How every cell of a comparison went: the points of its curves, for figures and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from pathlib import Path

from triptych.compare.curves import LOSS, TRAIN, Point, points_of_arm
from triptych.report.tables import Verdict, arms_of, is_fixed

__all__ = ["LOSS", "TRAIN", "Point", "read_history", "thinned", "to_csv"]

SHORT = 25


def read_history(folder: Path, verdict: Verdict) -> list[Point]:
    """All points of the cells that `verdict` knows, by arm, seed and time: the loss on what is
    trained on, and on other splits the comparison's metric and the loss.

    Cells that are still in work count as far as they are; fixed predictions have none.
    """
    if is_fixed(verdict):
        return []
    points = []
    for arm in arms_of(verdict):
        seeds = sorted(map(int, verdict["arms"][arm]["states"]))
        points += points_of_arm(folder, arm, seeds, verdict["metric"])
    return points


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most about `most` points: of each cell's curves only every k-th point, and the last.

    Curves of up to 25 points stay whole. An epoch that is kept is kept for all seeds of an arm, so
    that a mean over seeds stays one.
    """
    step = -(-len(points) // most)
    curves: dict[tuple[str, int, str, str], list[Point]] = {}
    for point in points:
        key = (point.arm, point.seed, point.split, point.metric)
        curves.setdefault(key, []).append(point)
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
        *rest, score, samples = astuple(point)
        writer.writerow([*rest, _number(score, ".6g"), _number(samples, ".0f")])
    return text.getvalue()


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
