"""Is a detection data set fit to train on? Broken files, wrong boxes, rare classes, copies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from triptych.data.box_problems import findings_of
from triptych.data.boxed_files import BoxedPicture
from triptych.data.check_report import Report, by_severity
from triptych.data.findings import Finding, copy_findings, drive_findings, file_findings
from triptych.data.look import Look, look_at_picture
from triptych.data.open_detection import open_boxed_folder
from triptych.progress import bar

SMALL = 32**2
"""Area below which COCO calls an object small, square pixels."""


@dataclass(frozen=True)
class BoxReport(Report):
    """Of each split: `images`, `images_without_objects`, and by class `objects`, `difficult`,
    `crowd` and `small`."""

    def contents(self) -> list[str]:
        lines = []
        for split, about in self.splits.items():
            lines.append(
                f"{split}: {about['images']} images, {about['images_without_objects']} of them "
                "without objects"
            )
            for name, row in about["classes"].items():
                notes = [f"{row[key]} {key}" for key in ("difficult", "crowd", "small") if row[key]]
                aside = f" ({', '.join(notes)})" if notes else ""
                lines.append(f"  {name}: {row['objects']} objects{aside}")
        return lines


def check_boxes(spec: str, progress: bool = True) -> BoxReport:
    """Look at every picture and annotation of all splits of a detection data set.

    Errors are what `box_problems` names, and copies of a picture in two splits; splits that share a
    cluster (sub-folder) are a warning, and so are classes that only other splits have. Raises
    UserError where the specification names no data set.
    """
    folder = open_boxed_folder(spec)
    findings: list[Finding] = []
    looks: dict[str, list[Look]] = {}
    splits = {}
    for split in folder.splits():
        pictures, problems = folder.examine(split)
        looks[split] = _look_at_all(pictures, f"{spec} {split}", progress)
        findings += findings_of(problems, split) + file_findings(split, looks[split], ())
        splits[split] = _summary(pictures, folder.classes)
        absent = [n for n, row in splits[split]["classes"].items() if not row["objects"]]
        if absent and pictures:
            findings.append(Finding("warning", f"{split}: never occurs: {', '.join(absent)}"))
    for first, second in combinations(looks, 2):
        in_folders = {look.group for split in (first, second) for look in looks[split]} != {""}
        if folder.grouped and in_folders:
            findings += drive_findings(first, looks[first], second, looks[second])
        findings += copy_findings(first, looks[first], second, looks[second])
    return BoxReport(spec, splits, by_severity(findings))


def _look_at_all(pictures: Sequence[BoxedPicture], title: str, progress: bool) -> list[Look]:
    groups = [each.key.rpartition("/")[0] for each in pictures]
    looks = []
    with (
        bar(title, len(pictures), unit="image", show=progress) as shown,
        ThreadPoolExecutor(os.cpu_count(), "check") as pool,
    ):
        places = (each.picture for each in pictures)
        for look in pool.map(look_at_picture, groups, places):
            looks.append(look)
            shown.advance()
    return looks


def _summary(pictures: Sequence[BoxedPicture], classes: Sequence[str]) -> dict[str, Any]:
    rows = {name: dict.fromkeys(("objects", "difficult", "crowd", "small"), 0) for name in classes}
    for each in pictures:
        found = each.objects
        areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
        for label, difficult, crowd, area in zip(
            found.labels, found.difficult, found.crowd, areas, strict=True
        ):
            row = rows[classes[label]]
            row["objects"] += 1
            row["difficult"] += int(difficult)
            row["crowd"] += int(crowd)
            row["small"] += int(area < SMALL)
    return {
        "images": len(pictures),
        "images_without_objects": sum(not len(each.objects) for each in pictures),
        "classes": rows,
    }
