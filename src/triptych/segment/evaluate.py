"""Score a segmentation model on one split of a data set, and write the evaluation's folder."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.labelled import Image, LabelledData, LabelMap
from triptych.data.luminance import luminance
from triptych.data.mapping import ClassMapping, mapping_between
from triptych.errors import UserError
from triptych.evaluation_folder import replaced_folder, write_files
from triptych.progress import bar
from triptych.segment.labeller import FrameKey, Labeller
from triptych.segment.media import Shown
from triptych.segment.metrics import boundary_f, confusion_matrix
from triptych.segment.models.label_folder import LabelFolder
from triptych.segment.scores import Item, items_table, scores_of

TOLD = ("weights", "weights_digest", "size", "scales", "tile", "runtime")


def evaluate(
    labeller: Labeller,
    data: LabelledData,
    *,
    mapping: ClassMapping | None = None,
    batch_size: int = 1,
    out: Path | None = None,
    progress: bool = True,
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Label every frame of `data`, score it, and return what `out/scores.json` holds.

    `mapping` takes the model's ids to the data's, by default the built-in one. Label maps are
    compared at the truth's size. Frames are labelled `batch_size` at a time where their sizes
    agree; all counts are per image, so it decides speed only. The record also says what the
    labeller tells of itself (`TOLD`, see `NetworkLabeller`; null for label images), and `about`.
    Of a folder of label images `LabelFolder.for_data` says which file is a frame's and what ids
    mean.

    With `out`, the folder gets `scores.json` and `items.parquet` (per image; all scores follow
    from it, see `triptych.segment.scores`) and some frames as pictures (see `Shown`), in one
    rename when the evaluation is whole; until then an evaluation that lies there stays as it is.
    Raises UserError for a frame that cannot be read or labelled (none is dropped), for classes
    without a mapping, and for an `out` that holds something else.
    """
    if batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, not {batch_size}")
    if isinstance(labeller, LabelFolder):
        labeller = labeller.for_data(data, guess_classes=mapping is None)
    if mapping is None:
        mapping = mapping_between(labeller.classes, data.classes)
    with nullcontext() if out is None else replaced_folder(out) as part:
        shown = None if part is None else Shown(part, data)
        items = score_frames(labeller, data, mapping, batch_size, progress, shown)
        scores = {
            "model": labeller.name,
            "data": data.name,
            "split": data.split,
            "fingerprint": data.fingerprint(),
            "mapping": {"name": mapping.name, "classes": mapping.as_dict()},
            **{key: getattr(labeller, key, None) for key in TOLD},
            **(about or {}),
            **scores_of(items, data.classes.names),
        }
        if part is not None:
            write_files(part, scores, items_table(items, data.classes.names))
    return scores


def score_frames(
    labeller: Labeller,
    data: LabelledData,
    mapping: ClassMapping,
    batch_size: int,
    progress: bool,
    shown: Shown | None = None,
) -> list[Item]:
    """Items of all frames in the data's order; some of the frames are `shown`.

    One thread more than the labeller can use, so that one reads and scores while others label.
    """
    turns = threading.Semaphore(labeller.concurrency)
    stop = threading.Event()

    def work(indices: Sequence[int]) -> list[Item]:
        if stop.is_set():
            return []
        loaded = [data.load(index) for index in indices]
        items: dict[int, Item] = {}
        for members in _equal_sizes(loaded):
            images = np.stack([loaded[member][0] for member in members])
            keys = [FrameKey(data.keys[indices[m]], indices[m]) for m in members]
            with turns:
                predicted = labeller.labels(images, keys, loaded[members[0]][1].shape)
            for member, labels in zip(members, predicted, strict=True):
                index, (picture, truth) = indices[member], loaded[member]
                ours = _mapped(labels, mapping, data.keys[index])
                items[member] = _score(data, index, picture, truth, ours)
                if shown is not None:
                    shown.write(index, picture, truth, ours)
        return [items[member] for member in range(len(indices))]

    batches = [
        range(start, min(start + batch_size, len(data)))
        for start in range(0, len(data), batch_size)
    ]
    found: list[Item] = []
    title = f"{labeller.name} on {data.name} {data.split}"
    with (
        bar(title, len(data), unit="frame", show=progress) as done,
        ThreadPoolExecutor(labeller.concurrency + 1, "evaluate") as pool,
    ):
        try:
            for items in pool.map(work, batches):
                found += items
                done.advance(len(items))
        except BaseException:
            stop.set()
            raise
    return found


def _mapped(predicted: NDArray[np.uint8], mapping: ClassMapping, key: str) -> LabelMap:
    try:
        return mapping.apply(predicted)
    except UserError as error:
        raise UserError(f"{key}: {error}") from error


def _score(
    data: LabelledData, index: int, picture: Image, truth: LabelMap, labels: LabelMap
) -> Item:
    classes = len(data.classes)
    return Item(
        data.keys[index],
        data.groups[index],
        luminance(picture),
        confusion_matrix(truth, labels, classes),
        boundary_f(truth, labels, classes),
    )


def _equal_sizes(loaded: Sequence[tuple[Image, LabelMap]]) -> list[list[int]]:
    """Positions whose pictures and labels have the same size, together."""
    by_size: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for position, (picture, labels) in enumerate(loaded):
        by_size.setdefault((picture.shape, labels.shape), []).append(position)
    return list(by_size.values())


def describe(scores: Mapping[str, Any]) -> str:
    """The scores as a table for a person: all frames, by class, by drive, by luminance."""
    lines = [
        f"{scores['model']} on {scores['data']} {scores['split']}, {scores['frames']} frames",
        f"mIoU {_number(scores['mIoU'])} over {scores['classes_averaged']} classes, "
        f"BF {_number(scores['BF'])} over {scores['BF_classes_averaged']}, "
        f"pixel accuracy {_number(scores['pixel_accuracy'])}",
        "",
        f"{'class':<20} {'IoU':>7} {'BF':>7}",
    ]
    for name, value in scores["IoU"].items():
        lines.append(f"{name:<20} {_number(value):>7} {_number(scores['BF_by_class'][name]):>7}")
    for title, part in (("drive", "groups"), ("mean luminance", "luminance")):
        lines += ["", f"{title:<20} {'frames':>7} {'mIoU':>7} {'BF':>7} {'pixels':>7}"]
        for name, row in scores[part].items():
            numbers = (row["mIoU"], row["BF"], row["pixel_accuracy"])
            cells = " ".join(f"{_number(value):>7}" for value in numbers)
            lines.append(f"{name:<20} {row['frames']:>7} {cells}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
