"""Score detections on one split of a data set, and write the evaluation's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from triptych.data.box_problems import KINDS
from triptych.data.boxes import DetectionData, Objects, left_out_of
from triptych.data.labelled import Image
from triptych.detect.detections import Detections, Predictor
from triptych.detect.items import DetectionItems, Rules, items_table
from triptych.detect.media import write_media
from triptych.detect.names import NameMap, names_between
from triptych.detect.scores import AP, AP50, AP50_11, scores_of
from triptych.errors import UserError
from triptych.evaluation_folder import replaced_folder, write_files, writing
from triptych.progress import bar

DEFAULT_RULES = Rules()


def evaluate(
    predictor: Predictor,
    data: DetectionData,
    *,
    rules: Rules = DEFAULT_RULES,
    batch_size: int = 1,
    out: Path | None = None,
    progress: bool = True,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Find the objects of every picture of `data`, score them, and return what `out/scores.json`
    holds: the scores (see `scores_of`), what they are of, and `about`.

    Classes are matched by name (see `names_between`). Where data was opened without what is wrong
    with it, `left_out` says what that was (see `box_problems.left_out`). With `out`, the folder
    gets `scores.json` and `items.parquet`, from which all scores follow, and pictures in `media/`
    (see `write_media`), in one rename when the evaluation is whole.
    Raises UserError for a picture that cannot be read or that the detector knows nothing of (none
    is dropped), for classes that the detector does not have, and for an `out` that holds something
    else.
    """
    if batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, not {batch_size}")
    names = names_between(predictor.name, predictor.classes, data.classes)
    with nullcontext() if out is None else replaced_folder(out) as part:
        items, dropped = find_all(predictor, data, names, rules, batch_size, progress)
        scores = {
            "model": predictor.name,
            "data": data.name,
            "split": data.split,
            "fingerprint": data.fingerprint(),
            **({"left_out": left_out} if (left_out := left_out_of(data)) else {}),
            "classes_left_out": list(names.left_out),
            "detections_not_finite": dropped,
            **(about or {}),
            **scores_of(items),
        }
        if part is not None:
            with writing(part):
                write_media(part, items, data)
            write_files(part, scores, items_table(items))
    return scores


def find_all(
    predictor: Predictor,
    data: DetectionData,
    names: NameMap,
    rules: Rules,
    batch_size: int = 1,
    progress: bool = False,
) -> tuple[DetectionItems, int]:
    """The items of all pictures in the data's order, and how many detections were no numbers.

    Pictures of the next batch are read while the detector works on this one.
    """
    batches = [
        range(start, min(start + batch_size, len(data)))
        for start in range(0, len(data), batch_size)
    ]
    objects: list[Objects] = []
    found: list[Detections] = []
    dropped = 0

    def load(indices: Sequence[int]) -> list[tuple[Image, Objects]]:
        return [data.load(index) for index in indices]

    title = f"{predictor.name} on {data.name} {data.split}"
    with (
        bar(title, len(data), unit="image", show=progress) as shown,
        ThreadPoolExecutor(1, "read") as pool,
    ):
        coming = pool.submit(load, batches[0]) if batches else None
        for number, indices in enumerate(batches):
            assert coming is not None
            loaded = coming.result()
            if number + 1 < len(batches):
                coming = pool.submit(load, batches[number + 1])
            keys = [data.keys[index] for index in indices]
            for raw in predictor.predict([image for image, _ in loaded], keys):
                good = raw.finite()
                dropped += len(raw) - len(good)
                found.append(names.apply(good).limited(rules.score_floor, rules.max_detections))
            objects += [truth for _, truth in loaded]
            shown.advance(len(indices))
    groups = None if data.groups is None else tuple(data.groups)
    items = DetectionItems(
        tuple(data.keys), groups, tuple(data.classes), tuple(objects), tuple(found), rules
    )
    return items, dropped


def describe(scores: Mapping[str, Any]) -> str:
    """The scores as a table for a person: all classes, each class, and what was counted."""
    lines = [
        f"{scores['model']} on {scores['data']} {scores['split']}, {scores['images']} images "
        f"({scores['images_without_objects']} without objects)",
        f"AP50 {_number(scores[AP50])} ({_number(scores[AP50_11])} by 11 points), "
        f"AP {_number(scores[AP])}, over {scores['classes_averaged']} classes",
        f"{scores['detections']['true']} right, {scores['detections']['false']} wrong detections "
        f"of {scores['objects']} objects ({scores['objects_ignored']} more are not counted)",
        "",
        f"{'class':<20} {'objects':>7} {'AP50':>7} {'11-point':>8} {'AP':>7}",
    ]
    for name, row in scores["by_class"].items():
        lines.append(
            f"{name:<20} {row['objects']:>7} {_number(row[AP50]):>7} "
            f"{_number(row[AP50_11]):>8} {_number(row[AP]):>7}"
        )
    if scores["classes_left_out"]:
        lines += ["", f"not scored, not in the data: {', '.join(scores['classes_left_out'])}"]
    if left_out := scores.get("left_out"):
        counts = (f"{row['count']} {KINDS[kind]}" for kind, row in left_out.items())
        lines += ["", f"left out of the data, or cut: {'; '.join(counts)}"]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
