"""Segmentation's part of a page: by class, drive and light, at boundaries; where models differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triptych.report.blocks import Section, drawing, tabular
from triptych.report.compact import texts
from triptych.report.dots import dot_figure
from triptych.report.subject import Subject, by_name
from triptych.report.words import score, signed

MOST_FRAMES = 8
"""Rows of the frames in which a pair differs most."""
MOST_ROWS = 12
"""Of a table by drive that is not folded."""
LIGHT = "luminance bin, 0 black to 255 white (frames)"


def add_segment(section: Section, subject: Subject) -> None:
    """Tables and figures from the evaluations of all arms."""
    swatches = dict(subject.places)
    header, rows = by_name(subject, "class", lambda scores: scores.get("IoU"))
    section.add(
        tabular("iou", "IoU by class", header, rows, note=SEEDS, swatches=swatches),
        drawing(
            section,
            "iou-dots",
            "IoU by class",
            f"Dot plot of the IoU of every class for {', '.join(subject.arms)}; the numbers are in "
            "the table above.",
            dot_figure(_values(subject, "IoU"), [row[0] for row in rows], subject.places, "IoU"),
        ),
    )
    header, rows = by_name(subject, "class", lambda scores: scores.get("BF_by_class"))
    section.add(
        tabular(
            "bf",
            "Boundary F by class",
            header,
            rows,
            note="How well boundaries lie, from 0 to 1 (Csurka 2013). " + SEEDS,
            swatches=swatches,
        )
    )
    for part, title in (("groups", "drive (frames)"), ("luminance", LIGHT)):
        for name in ("mIoU", "BF"):
            header, rows = by_name(subject, title, _part(part, name))
            where = "drive" if part == "groups" else "mean luminance of a frame"
            section.add(
                tabular(
                    f"{part}-{name.lower()}",
                    f"{name} by {where}",
                    header,
                    rows,
                    note=SEEDS,
                    swatches=swatches,
                    folded=len(rows) > MOST_ROWS,
                )
            )
    bins = list(dict.fromkeys(name for each in _light(subject).values() for name in each))
    section.add(
        drawing(
            section,
            "light",
            "mIoU by mean luminance of a frame",
            f"Dot plot of the mIoU in each luminance bin for {', '.join(subject.arms)}; the "
            "numbers are in the table above.",
            dot_figure(_light(subject), bins, subject.places, "mIoU of the bin's frames"),
        )
    )
    for number, (arm, baseline) in enumerate(subject.pairs):
        rows = [
            (key, drive, score(a), score(b), signed(a - b))
            for key, drive, a, b in different_frames(subject, arm, baseline)[:MOST_FRAMES]
        ]
        section.add(
            tabular(
                f"frames-{number}",
                f"Frames in which {arm} and {baseline} differ most",
                ("frame", "drive", f"mIoU, {arm}", f"mIoU, {baseline}", "difference"),
                rows,
                note="Of each frame alone, mean over seeds; a frame has few classes, so its mIoU "
                "moves far.",
                folded=number > 0,
            )
        )


SEEDS = "Mean ± standard deviation over seeds (n)."


def _part(part: str, name: str) -> Any:
    def pick(scores: Mapping[str, Any]) -> dict[str, float | None]:
        return {
            f"{key} ({row['frames']})": row[name]
            for key, row in scores.get(part, {}).items()
            if row.get("frames")
        }

    return pick


def _values(subject: Subject, name: str) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for arm in subject.arms:
        for scores in subject.scores(arm):
            for key, value in (scores.get(name) or {}).items():
                if value is not None:
                    found.setdefault(arm, {}).setdefault(key, []).append(value)
    return found


def _light(subject: Subject) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    pick = _part("luminance", "mIoU")
    for arm in subject.arms:
        for scores in subject.scores(arm):
            for key, value in pick(scores).items():
                if value is not None:
                    found.setdefault(arm, {}).setdefault(key, []).append(value)
    return found


Frame = tuple[str, str, float, float]
"""(frame, drive, mIoU of the arm, mIoU of the baseline)."""


def different_frames(subject: Subject, arm: str, baseline: str) -> list[Frame]:
    """Frames with both arms' mean mIoU over seeds, those that differ most first; none where the
    arms were not scored on the same frames."""
    means, keys, drives = [], [], []
    for name in (arm, baseline):
        items = list(subject.items(name).values())
        if not items:
            return []
        keys.append([str(key) for key in texts(items[0]["keys"])])
        if any(len(each["mIoU"]) != len(keys[-1]) for each in items):
            return []
        stacked = np.stack([each["mIoU"] for each in items]).astype(np.float64)
        means.append(np.asarray(stacked.mean(axis=0)))
        parts: Sequence[Any] = texts(items[0]["parts"])
        drives.append([str(parts[part][0]) for part in items[0]["part"]])
    if keys[0] != keys[1]:
        return []
    order = np.argsort(-np.abs(means[0] - means[1]), kind="stable")
    return [
        (keys[0][k], drives[0][k], float(means[0][k]), float(means[1][k]))
        for k in order.tolist()
        if np.isfinite(means[0][k]) and np.isfinite(means[1][k])
    ]
