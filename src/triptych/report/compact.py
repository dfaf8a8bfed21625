"""What every item contributed, reduced to what a page and its verdict need, as one small file.

`items.npz` beside an evaluation's `scores.json`: arrays and JSON, no pickle. Of segmentation the
counts are summed by drive and luminance bin, from which every score of a page and every interval
over drives follows; of frames the mIoU of each is kept. Of detections there is which one is right
at an IoU of 0.5, of classes what was predicted.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from triptych.errors import UserError

FILE = "items.npz"
Arrays = Mapping[str, NDArray[Any]]


def compact(file: Path, study: str, scores: Collection[str], closely: bool = True) -> bytes:
    """An `items.parquet` as an `items.npz`. Raises UserError where it is not one.

    `scores` are those that a comparison judges or describes; `closely` is for an evaluation whose
    single detections are to be shown.
    """
    try:
        arrays = _detect(file, closely) if study == "detect" else _OF_STUDY[study](file, scores)
    except UserError:
        raise
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file}: not the items of an evaluation ({error})") from error
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)  # the store packs it
    return stream.getvalue()


@lru_cache(maxsize=512)
def _read(file: Path, stamp: tuple[int, int]) -> dict[str, NDArray[Any]]:
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def read_compact(folder: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of the evaluation in `folder`; None where it has none. Raises UserError."""
    file = folder / FILE
    if not file.exists():
        return None
    status = file.stat()
    try:
        return _read(file, (status.st_mtime_ns, status.st_size))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{file}: not the items of a page ({error})") from error


def text(value: Any) -> NDArray[np.uint8]:
    """Any JSON as an array."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def texts(array: NDArray[Any]) -> Any:
    return json.loads(array.tobytes().decode())


def _segment(file: Path, scores: Collection[str]) -> dict[str, NDArray[Any]]:
    """`confusion` (parts, classes, classes + 1) and `BF` (parts, classes, 2: sum and count), the
    parts being (drive, luminance bin); `mIoU` (frames,) of each frame alone, `part` (frames,)."""
    from triptych.data.luminance import luminance_bin

    table = pq.read_table(file)
    classes = json.loads(table.schema.metadata[b"classes"])
    count = len(classes)
    flat = table["confusion"].combine_chunks().flatten()
    counts = flat.to_numpy(zero_copy_only=False).reshape(-1, count, count + 1)
    bf = table["BF"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    bf = np.asarray(bf, np.float64).reshape(-1, count)
    bins = [luminance_bin(value) for value in table["luminance"].to_pylist()]
    names = list(zip(table["group"].to_pylist(), bins, strict=True))
    parts = sorted(set(names))
    part = np.array([parts.index(name) for name in names], np.int64)
    summed = np.zeros((len(parts), count, count + 1), np.int64)
    np.add.at(summed, part, counts)
    edges = np.zeros((len(parts), count, 2))
    there = ~np.isnan(bf)
    np.add.at(edges, part, np.stack([np.where(there, bf, 0.0), there], axis=-1))
    hits = np.diagonal(counts, axis1=1, axis2=2)
    unions = counts.sum(axis=2) + counts[:, :, :-1].sum(axis=1) - hits
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.nanmean(np.where(unions > 0, hits / unions, np.nan), axis=1)
    return {
        "confusion": summed,
        "BF": edges,
        "part": part.astype(np.int32),
        "mIoU": each.astype(np.float32),
        "parts": text(parts),
        "classes": text(classes),
        "keys": text(table["key"].to_pylist()),
    }


def _detect(file: Path, closely: bool) -> dict[str, NDArray[Any]]:
    """The matches by VOC's rules, as the evaluation has them, in the order of `Matches`; and what
    to look at first."""
    from triptych.detect.items import DETECTION, IMAGE, MATCHED, OBJECT

    table = pq.read_table(file)
    classes = json.loads(table.schema.metadata[b"classes"])
    kind = np.array(table["kind"].to_pylist(), object)
    keys = pc.filter(table["key"], pa.array(kind == IMAGE)).to_pylist()
    owner = pc.index_in(table["key"], pa.array(keys)).to_numpy().astype(np.int64)
    label = pc.index_in(table["class"], pa.array(classes)).fill_null(-1).to_numpy()
    ignored = pc.or_(table["difficult"], table["crowd"]).fill_null(False).to_numpy()
    counts = (kind == OBJECT) & ~ignored.astype(np.bool_)
    positives = np.zeros((len(keys), len(classes)), np.int64)
    np.add.at(positives, (owner[counts], label[counts]), 1)
    rows = np.flatnonzero(kind == DETECTION)
    score = table["score"].to_numpy()[rows]
    rows = rows[np.lexsort((np.arange(len(rows)), owner[rows], -score, label[rows]))]
    states = {name: state for state, name in MATCHED.items()}
    matched = table["matched"].to_pylist()
    groups = pc.filter(table["group"], pa.array(kind == IMAGE)).to_pylist()
    return {
        "image": owner[rows].astype(np.int32),
        "label": label[rows].astype(np.int16),
        "score": table["score"].to_numpy()[rows],
        "state": np.array([states[matched[row]] for row in rows.tolist()], np.int8),
        "positives": positives.astype(np.int32),
        "classes": text(classes),
        "keys": text(keys),
        "groups": text(None if None in groups else groups),
        "mistakes": text(_mistakes(file) if closely else {"wrong": [], "missed": []}),
    }


def _mistakes(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The surest wrong detections and the missed objects."""
    from dataclasses import asdict

    from triptych.detect.items import read_items
    from triptych.detect.mistakes import missed_objects, wrong_detections

    items = read_items(file)
    return {
        "wrong": [asdict(each) for each in wrong_detections(items, most=20)],
        "missed": [asdict(each) for each in missed_objects(items, most=20)],
    }


def _classify(file: Path, scores: Collection[str]) -> dict[str, NDArray[Any]]:
    """`label` and `predicted` (images,), and the columns that are judged."""
    table = pq.read_table(file)
    wanted = {name.removeprefix("val_") for name in scores} & {"top1", "top5", "loss"}
    return {
        "label": table["label"].to_numpy().astype(np.int32),
        "predicted": table["predicted"].to_numpy().astype(np.int32),
        **{name: table[name].to_numpy() for name in sorted(wanted)},
        "classes": text(json.loads(table.schema.metadata[b"classes"])),
        "keys": text(table["key"].to_pylist()),
    }


_OF_STUDY = {"segment": _segment, "classify": _classify}
