"""The items of an evaluation: all images, objects and detections as one table, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from triptych.data.boxes import Objects
from triptych.detect.detections import Detections
from triptych.detect.matching import FALSE, IGNORED, TRUE, Matches, match_voc
from triptych.errors import UserError

IMAGE, OBJECT, DETECTION = "image", "object", "detection"
MATCHED = {TRUE: "true", FALSE: "false", IGNORED: "difficult"}
_CORNERS = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class Rules:
    """How detections are judged."""

    iou: float = 0.5
    """From which on a detection is on an object, in VOC's AP."""
    plus_one: bool = True
    """Whether the first and the last pixel of a box both count in VOC's AP, see `box_iou`."""
    score_floor: float = 0.0
    """Least score of a detection that is looked at."""
    max_detections: int = 100
    """In one image, of all classes together; those with the highest scores."""

    def __post_init__(self) -> None:
        if not 0 < self.iou <= 1:
            raise UserError(f"the IoU of a detection that counts must be in (0, 1], not {self.iou}")
        if self.max_detections < 1:
            raise UserError(f"at least 1 detection an image is needed, not {self.max_detections}")


@dataclass(frozen=True, eq=False)
class DetectionItems:
    """What an evaluation is computed from: N images with their objects and detections."""

    keys: tuple[str, ...]
    groups: tuple[str, ...] | None
    """The cluster of every image; None where images are independent."""
    classes: tuple[str, ...]
    objects: tuple[Objects, ...]
    detections: tuple[Detections, ...]
    """Within the limits of `rules`, highest score first."""
    rules: Rules

    def matches(self) -> Matches:
        """By VOC's rules."""
        count = len(self.classes)
        iou, plus_one = self.rules.iou, self.rules.plus_one
        return match_voc(self.detections, self.objects, count, iou, plus_one)


def items_table(items: DetectionItems) -> pa.Table:
    """One row an image, an object or a detection, by `kind`; first all images, then all objects.

    key, group (null where images are independent); of objects and detections `class` and the box
    x1, y1, x2, y2 in pixels; of objects `difficult` and `crowd`; of detections `score`, `matched`
    (true, false, or difficult where it is on an object that does not count) and `iou` with the best
    object of its class. Class names and rules are in the schema's metadata (JSON).
    """
    matches = items.matches()
    states = [np.zeros(len(each), np.int8) for each in items.detections]
    overlaps = [np.zeros(len(each)) for each in items.detections]
    for image, place, state, iou in zip(
        matches.image, matches.place, matches.state, matches.iou, strict=True
    ):
        states[image][place], overlaps[image][place] = state, iou
    images = len(items.keys)
    which = [
        np.arange(images),
        np.repeat(np.arange(images), [len(each) for each in items.objects]),
        np.repeat(np.arange(images), [len(each) for each in items.detections]),
    ]
    counts = [len(part) for part in which]
    image = np.concatenate(which).astype(np.int64)
    boxed: list[Objects | Detections] = [*items.objects, *items.detections]
    labels = _joined([each.labels for each in boxed], np.int64)
    boxes = _joined([each.boxes for each in boxed], np.float32, (4,))
    matched = [MATCHED[state] for state in _joined(states, np.int8).tolist()]
    columns = {
        "kind": pa.array(np.repeat([IMAGE, OBJECT, DETECTION], counts), pa.string()),
        "key": pa.array(items.keys, pa.string()).take(pa.array(image)),
        "group": pa.array(items.groups or [None] * images, pa.string()).take(pa.array(image)),
        "class": _after(counts[0], pa.array(items.classes, pa.string()).take(pa.array(labels)), 0),
        **{
            name: _after(counts[0], pa.array(boxes[:, i], pa.float32()), 0)
            for i, name in enumerate(_CORNERS)
        },
        **{
            name: _after(
                counts[0],
                pa.array(_joined([getattr(e, name) for e in items.objects], np.bool_), pa.bool_()),
                counts[2],
            )
            for name in ("difficult", "crowd")
        },
        "score": _after(
            counts[0] + counts[1],
            pa.array(_joined([e.scores for e in items.detections], np.float64), pa.float64()),
            0,
        ),
        "matched": _after(counts[0] + counts[1], pa.array(matched, pa.string()), 0),
        "iou": _after(
            counts[0] + counts[1], pa.array(_joined(overlaps, np.float64), pa.float64()), 0
        ),
    }
    about = {
        "classes": json.dumps(list(items.classes)),
        "rules": json.dumps(asdict(items.rules)),
    }
    return pa.table(columns).replace_schema_metadata(about)


def _joined(
    arrays: Sequence[NDArray[Any]], kind: type[np.generic], shape: tuple[int, ...] = ()
) -> NDArray[Any]:
    return np.concatenate([np.zeros((0, *shape), kind), *arrays])


def _after(before: int, values: pa.Array, behind: int) -> pa.Array:
    """A column that is null in so many rows before and behind."""
    nulls = [pa.nulls(count, values.type) for count in (before, behind)]
    return pa.concat_arrays([nulls[0], values, nulls[1]])


def read_items(path: Path) -> DetectionItems:
    """The items of an `items.parquet`. Raises UserError where it is not one of detections."""
    try:
        table = pq.read_table(path)
        about: Mapping[bytes, bytes] = table.schema.metadata or {}
        classes = tuple(json.loads(about[b"classes"]))
        return _items_of(table, classes, Rules(**json.loads(about[b"rules"])))
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, IndexError) as error:
        raise UserError(f"{path}: not the items of an evaluation ({error})") from error


def _items_of(table: pa.Table, classes: tuple[str, ...], rules: Rules) -> DetectionItems:
    kind = np.array(table["kind"].to_pylist(), object)
    keys = table["key"].to_pylist()
    groups = table["group"].to_pylist()
    names = {name: label for label, name in enumerate(classes)}
    labels = np.array([names.get(each, -1) for each in table["class"].to_pylist()], np.int64)
    boxes = np.stack([_numbers(table, name) for name in _CORNERS], axis=1).astype(np.float32)
    flags = {
        name: np.array([bool(each) for each in table[name].to_pylist()], np.bool_)
        for name in ("difficult", "crowd")
    }
    scores = _numbers(table, "score")
    images = np.flatnonzero(kind == IMAGE)
    place = {keys[row]: number for number, row in enumerate(images)}
    if len(place) < len(images) or (labels[kind != IMAGE] < 0).any():
        raise ValueError("an image twice, or a class without a name")
    owner = np.array([place[key] for key in keys], np.int64)

    def rows(which: str) -> list[NDArray[np.int64]]:
        there = np.flatnonzero(kind == which)
        there = there[np.argsort(owner[there], kind="stable")]
        return np.split(there, np.searchsorted(owner[there], np.arange(1, len(images))))

    if not len(images):
        return DetectionItems((), None, classes, (), (), rules)
    own = [groups[row] for row in images]
    return DetectionItems(
        tuple(keys[row] for row in images),
        None if None in own else tuple(own),
        classes,
        tuple(
            Objects(boxes[r], labels[r], flags["difficult"][r], flags["crowd"][r])
            for r in rows(OBJECT)
        ),
        tuple(Detections(boxes[r], scores[r], labels[r]) for r in rows(DETECTION)),
        rules,
    )


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(zero_copy_only=False), np.float64)
