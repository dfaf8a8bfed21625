"""Is a data set fit to train on? What its labels hold, what is broken, and whether splits leak."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, TypeVar

from triptych.data.check_boxes import check_boxes
from triptych.data.check_report import Report, by_severity
from triptych.data.classes import VOID, ClassSet
from triptych.data.findings import (
    Finding,
    class_of,
    copy_findings,
    drive_findings,
    file_findings,
    label_findings,
)
from triptych.data.frames import LabelCode, value_text
from triptych.data.look import Look, look_at, look_into
from triptych.data.open_data import is_streets, open_data, open_folder
from triptych.data.open_detection import is_boxed_folder
from triptych.progress import bar

T = TypeVar("T")

STREETS_SPLITS = ("train", "val")


@dataclass(frozen=True)
class CheckReport(Report):
    """Of each split: `frames`; `groups` (frames and mean luminance by drive); `labels` (value,
    class, name and share of all pixels, by label value)."""

    def contents(self) -> list[str]:
        lines = []
        for split, about in self.splits.items():
            lines.append(f"{split}: {about['frames']} frames")
            for group, row in about["groups"].items():
                light = "unknown" if row["luminance"] is None else f"{row['luminance']:.0f}"
                lines.append(f"  drive {group}: {row['frames']} frames, mean luminance {light}")
            for row in about["labels"]:
                meaning = " ".join(filter(None, (row["name"], f"({row['class'] or 'unknown'})")))
                lines.append(f"  {row['value']} {meaning}: {100 * row['share']:.2f} %")
        return lines


def check(spec: str, progress: bool = True) -> Report:
    """Look at every picture and label of all splits of a data specification.

    Data to detect in is looked at by `check_boxes`; what follows is of frames with label maps.

    Errors are missing or unreadable files, colour-coded labels where ids are due, label values
    without a class, labels of another size than their picture, and copies of a picture in two
    splits. Splits that share a drive are a warning, and so are labels that are void all over.
    Raises UserError where the specification names no data set.
    """
    if is_boxed_folder(spec):
        return check_boxes(spec, progress)
    findings: list[Finding] = []
    looks: dict[str, list[Look]] = {}
    if is_streets(spec):
        for split in STREETS_SPLITS:
            data = open_data(spec, split)
            classes = data.classes
            code = LabelCode({VOID: VOID, **{number: number for number in range(len(classes))}})
            title = f"{spec} {split}"
            looks[split] = _each(range(len(data)), partial(look_at, data), title, progress)
    else:
        folder = open_folder(spec)
        classes, code = folder.classes, folder.code
        for split in folder.splits():
            listing = folder.listing(split)
            title = f"{spec} {split}"
            looks[split] = _each(listing.frames, partial(look_into, code), title, progress)
            findings += file_findings(split, looks[split], [str(p) for p in listing.unpaired])
    for split, members in looks.items():
        findings += label_findings(split, members, classes, code)
    for first, second in combinations(looks, 2):
        findings += drive_findings(first, looks[first], second, looks[second])
        findings += copy_findings(first, looks[first], second, looks[second])
    splits = {split: _summary(members, classes, code) for split, members in looks.items()}
    return CheckReport(spec, splits, by_severity(findings))


def _each(frames: Sequence[T], look: Callable[[T], Look], title: str, progress: bool) -> list[Look]:
    looks = []
    with (
        bar(title, len(frames), unit="frame", show=progress) as shown,
        ThreadPoolExecutor(os.cpu_count(), "check") as pool,
    ):
        for seen in pool.map(look, frames):
            looks.append(seen)
            shown.advance()
    return looks


def _summary(looks: Sequence[Look], classes: ClassSet, code: LabelCode) -> dict[str, Any]:
    groups = {}
    for group in sorted({look.group for look in looks}):
        members = [look for look in looks if look.group == group]
        lights = [look.luminance for look in members if look.luminance is not None]
        light = sum(lights) / len(lights) if lights else None
        groups[group] = {"frames": len(members), "luminance": light}
    pixels: Counter[tuple[int, bool]] = Counter()
    for look in looks:
        pixels.update(look.values)
    total = sum(pixels.values())
    labels = []
    for value, count in sorted(pixels.items()):
        number = class_of(value, code)
        known = {None: None, VOID: "void"} | dict(enumerate(classes.names))
        labels.append(
            {
                "value": value_text(*value),
                "class": known[number],
                "name": code.names.get(value[0]),
                "share": count / total,
            }
        )
    return {"frames": len(looks), "groups": groups, "labels": labels}
