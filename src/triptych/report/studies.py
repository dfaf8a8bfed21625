"""The studies as a page sees them: what every item contributed, from its records, without torch.

A `Study` whose functions read `items.npz` (see `compact`); nothing is trained or predicted. The
numbers are those of the studies' own functions, which tests compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError
from triptych.report.compact import read_compact, texts
from triptych.run import read_json, read_result
from triptych.study import Items, Predictions, Study

METRICS: Mapping[str, Mapping[str, bool]] = {
    "segment": {
        "mIoU": True,
        "pixel_accuracy": True,
        "BF": True,
        "relative_error": False,
        "degraded_error": False,
        "ranking": True,
    },
    "detect": {"AP50": True, "AP50_11point": True, "AP": True},
    "classify": {
        "top1": True,
        "top5": True,
        "loss": False,
        "val_top1": True,
        "val_top5": True,
        "val_loss": False,
    },
}
"""As the studies have them: score → whether higher is better."""
UNITS = {"segment": "drives", "detect": "scenes", "classify": None}

Arrays = Mapping[str, NDArray[Any]]


def study_of(name: str) -> Study:
    """A study without its trainings. Raises UserError where there is none of that name."""
    if name not in METRICS:
        raise UserError(f"no study '{name}'; a page knows {', '.join(METRICS)}")

    def evaluation_items(folder: Path, score: str) -> Items | None:
        arrays = read_compact(folder)
        if arrays is None or (score.startswith("val_") and _split(folder) != "val"):
            return None
        return _ITEMS[name](arrays, score)

    def run_items(folder: Path, score: str) -> Items | None:
        place = evaluation_of(folder, score)
        return None if place is None else evaluation_items(place, score)

    def predict_items(arm: Predictions, data: str, split: str, score: str, folder: Path) -> Items:
        found = evaluation_items(folder, score)
        if found is None:
            raise UserError(f"{folder.name} has no evaluation with {score}")
        return found

    def evaluated_on(recipe: Any, score: str) -> tuple[str, str]:
        return recipe.data, "val" if score.startswith("val_") else "test"

    def train(*_: Any, **__: Any) -> dict[str, Any]:
        raise AssertionError("a page trains nothing")

    return Study(
        name=name,
        train=train,
        check=lambda recipe: None,
        metrics=METRICS[name],
        run_items=run_items,
        predict_items=predict_items,
        evaluation_items=evaluation_items,
        evaluated_on=evaluated_on,
        group_unit=UNITS[name],
    )


def evaluation_of(run: Path, score: str = "") -> Path | None:
    """The folder of a run's own evaluation: of its validation images for a score `val_…`."""
    result = read_result(run)
    if result is None:
        return None
    name = str(result["data"]).replace(" ", "-")
    if score.startswith("val_"):
        name = f"{name.removesuffix('-test')}-val"
    place = run / "evaluations" / name
    return place if place.is_dir() else None


def _split(folder: Path) -> Any:
    return read_json(folder / "scores.json").get("split")


def _segment(arrays: Arrays, score: str) -> Items | None:
    """The parts (drive, luminance bin) in place of frames: their sums give the same scores."""
    from triptych.segment.metrics import iou, mean, pixel_accuracy

    parts = [tuple(each) for each in texts(arrays["parts"])]
    keys, groups = tuple(f"{g} {light}" for g, light in parts), tuple(g for g, _ in parts)

    def number(found: float | None) -> float:
        return float("nan") if found is None else found

    def mean_iou(counts: NDArray[np.float64]) -> float:
        return number(mean(iou(counts.astype(np.int64))))

    def accuracy(counts: NDArray[np.float64]) -> float:
        return number(pixel_accuracy(counts.astype(np.int64)))

    counts = arrays["confusion"].astype(np.float64)
    if score == "mIoU":
        return Items(keys, groups, counts, mean_iou)
    if score == "pixel_accuracy":
        return Items(keys, groups, counts, accuracy)
    if score == "BF":
        return Items(keys, groups, arrays["BF"], _mean_of_sums)
    if score.startswith("mIoU@"):
        inside = [light == score.removeprefix("mIoU@") for _, light in parts]
        chosen = [index for index, is_in in enumerate(inside) if is_in]
        whole = Items(keys, groups, counts, mean_iou)
        return replace(
            whole,
            keys=tuple(keys[index] for index in chosen),
            groups=tuple(groups[index] for index in chosen),
            values=counts[chosen],
        )
    return None


def _mean_of_sums(sums: NDArray[np.float64]) -> float:
    present = sums[:, 1] > 0
    return float((sums[present, 0] / sums[present, 1]).mean()) if present.any() else float("nan")


def matches_of(arrays: Arrays) -> Any:
    """The matched detections of an evaluation, without their boxes."""
    from triptych.detect.matching import Matches

    nothing = np.zeros(len(arrays["label"]), np.int64)
    return Matches(
        image=arrays["image"].astype(np.int64),
        place=nothing,
        label=arrays["label"].astype(np.int64),
        score=arrays["score"],
        state=arrays["state"],
        target=nothing,
        iou=np.zeros(len(arrays["label"])),
        positives=arrays["positives"].astype(np.int64),
    )


def _detect(arrays: Arrays, score: str) -> Items | None:
    from triptych.detect.average_precision import AveragePrecision, mean_over_classes

    if score not in ("AP50", "AP50_11point"):
        return None
    ap = AveragePrecision(matches_of(arrays), "area" if score == "AP50" else "11-point")
    keys, groups = tuple(texts(arrays["keys"])), texts(arrays["groups"])
    places = np.arange(len(keys), dtype=np.float64)
    weighted: Callable[[NDArray[np.float64]], float] = lambda w: mean_over_classes(ap(w))  # noqa: E731
    return Items(keys, tuple(groups) if groups else None, places, weighted=weighted)


def _classify(arrays: Arrays, score: str) -> Items | None:
    name = score.removeprefix("val_")
    if name not in ("top1", "top5", "loss") or name not in arrays:
        return None
    return Items(tuple(texts(arrays["keys"])), None, arrays[name])


_ITEMS: Mapping[str, Callable[[Arrays, str], Items | None]] = {
    "segment": _segment,
    "detect": _detect,
    "classify": _classify,
}
