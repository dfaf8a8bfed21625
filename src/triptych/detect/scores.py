"""From the items of an evaluation to its scores, and to what a comparison resamples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.detect.average_precision import INTERPOLATIONS, AveragePrecision, mean_over_classes
from triptych.detect.coco_ap import THRESHOLDS, coco_ap
from triptych.detect.items import DetectionItems, Rules, read_items
from triptych.detect.matching import FALSE, IGNORED, TRUE, match_coco
from triptych.errors import UserError
from triptych.study import Items

AP50, AP50_11, AP = "AP50", "AP50_11point", "AP"
METRICS = {AP50: True, AP50_11: True, AP: True}
"""The scores that a comparison may judge → whether higher is better."""

Weights = NDArray[np.float64]


def scores_of(items: DetectionItems) -> dict[str, Any]:
    """All scores of an evaluation.

    `AP50` is VOC's AP with the area rule, `AP50_11point` that of VOC 2007, both at the IoU of the
    rules; `AP` is COCO's, with its companions under `coco`. A class without an object that counts
    is null and left out of the mean. Images without objects count: what is found there is wrong.
    """
    matches = items.matches()
    area = AveragePrecision(matches, "area")()
    eleven = AveragePrecision(matches, "11-point")()
    coco = coco_ap(items.detections, items.objects, items.classes, items.rules.max_detections)
    empty = sum(not len(each) for each in items.objects)
    on_empty = [len(d) for d, o in zip(items.detections, items.objects, strict=True) if not len(o)]
    return {
        AP50: _or_none(mean_over_classes(area)),
        AP50_11: _or_none(mean_over_classes(eleven)),
        AP: coco[AP],
        "classes_averaged": int((~np.isnan(area)).sum()),
        "images": len(items.keys),
        "images_with_objects": len(items.keys) - empty,
        "images_without_objects": empty,
        "objects": int(matches.positives.sum()),
        "objects_ignored": int(sum(each.ignored.sum() for each in items.objects)),
        "detections": {
            "all": len(matches.label),
            "true": int((matches.state == TRUE).sum()),
            "false": int((matches.state == FALSE).sum()),
            "on_ignored_objects": int((matches.state == IGNORED).sum()),
            "on_images_without_objects": sum(on_empty),
        },
        "rule": rule_text(items.rules),
        "by_class": {
            name: {
                "objects": int(matches.positives[:, label].sum()),
                AP50: _or_none(float(area[label])),
                AP50_11: _or_none(float(eleven[label])),
                AP: coco["AP_by_class"][name],
            }
            for label, name in enumerate(items.classes)
        },
        "coco": {name: value for name, value in coco.items() if name != "AP_by_class"},
    }


def rule_text(rules: Rules) -> dict[str, Any]:
    """The rules as a record says them."""
    width = "xmax - xmin + 1, as VOC's devkit" if rules.plus_one else "xmax - xmin"
    return {
        **asdict(rules),
        AP50: INTERPOLATIONS["area"],
        AP50_11: INTERPOLATIONS["11-point"],
        AP: f"{INTERPOLATIONS['101-point']}, mean over IoU 0.50 to 0.95 in steps of 0.05",
        "width_of_a_box": f"{width} (in VOC's AP)",
        "difficult": "ignored, and so is what lies on them; in COCO's AP they are crowds",
        "of_equal_scores": "the earlier image counts first, in it the earlier detection",
        "size": "of the box (AP_small below 32², AP_large from 96² pixels)",
    }


def headline(scores: Mapping[str, Any]) -> dict[str, Any]:
    """The scores that a run's log and result show; the rest is in its evaluation."""
    return {name: scores[name] for name in METRICS}


def study_items(items: DetectionItems, metric: str) -> Items:
    """What a comparison needs to compute a metric anew for any choice of images.

    Raises UserError for a score that detections do not have.
    """
    if metric not in METRICS:
        raise UserError(f"--metric {metric}: detections have {', '.join(METRICS)}")
    places = np.arange(len(items.keys), dtype=np.float64)
    # COCO's AP has thresholds and a pixel of its own.
    rules = items.rules if metric != AP else replace(Rules(), **limits(items.rules))
    said = ", ".join(f"{name} {value}" for name, value in asdict(rules).items())
    return Items(items.keys, items.groups, places, weighted=_metric(items, metric), rules=said)


def limits(rules: Rules) -> dict[str, Any]:
    """What of the rules decides which detections are looked at."""
    return {"score_floor": rules.score_floor, "max_detections": rules.max_detections}


def _metric(items: DetectionItems, metric: str) -> Callable[[Weights], float]:
    if metric == AP:
        matches = match_coco(items.detections, items.objects, len(items.classes), THRESHOLDS)
        levels = [AveragePrecision(matches.at(i), "101-point") for i in range(len(THRESHOLDS))]
        return lambda weights: mean_over_classes(np.concatenate([ap(weights) for ap in levels]))
    one = AveragePrecision(items.matches(), "area" if metric == AP50 else "11-point")
    return lambda weights: mean_over_classes(one(weights))


def scores_from_items(path: Path) -> dict[str, Any]:
    """Every score of an evaluation, computed anew from its `items.parquet`. Raises UserError."""
    return scores_of(read_items(path))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
