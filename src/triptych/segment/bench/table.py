"""Every model on every runtime, one after the other, and which of them are worth their time."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.benching import ENOUGH_FOR_P95, run_in_own_process, table, unique_names
from triptych.errors import UserError
from triptych.progress import bar
from triptych.segment.bench.known_scores import Measured, Score, read_scores, scores_of
from triptych.segment.bench.measure import Task
from triptych.segment.network import check_network, must_agree, network_name

log = logging.getLogger("triptych")

RULE = (
    "Pictures of this size, already in memory, to label maps of the same size; normalisation and "
    "argmax are part of it, decoding and drawing are not. latency: one frame at a time, "
    f"latency_frames of them; p95 from {ENOUGH_FOR_P95} frames on, else null. "
    "frames_per_second: with as many callers at once as `triptych predict` has on this runtime. "
    "peak_memory_bytes: of a process of its own, libraries included; memory_before_bytes: of the "
    "same process before the model was made. labels_agree: share of the labels of a test picture "
    "that are those of the model's first row; labels_must_agree: from what share on the row is "
    "considered for the points. It is null for random weights: their logits have no clear winners, "
    "so labels say nothing of a precision, and only float32 is considered."
)


@dataclass(frozen=True)
class BenchOptions:
    """How to measure."""

    size: tuple[int, int] = (360, 480)
    """(height, width) of the pictures."""
    seconds: float = 3.0
    """How long to measure the latency of each row, and its throughput."""
    frames: int | None = None
    """How many frames to label instead."""
    runtime: str = "all"
    """all, torch or openvino."""
    device: str = "auto"
    progress: bool = True


def bench(
    models: Sequence[tuple[str, Path | None]],
    options: BenchOptions | None = None,
    scores: Sequence[Path] = (),
) -> dict[str, Any]:
    """Measure models, each a registry name or a run folder with a file of weights or None.

    Weights are drawn at random where the published ones are not on this machine: speed does not
    depend on them. `scores` are places of evaluations (see `read_scores`). Returns the record:
    `rows`, one a model, runtime and precision, with an `error` where it could not be measured;
    `points`, one a model that has a score (see `scores_of`): its fastest row that is considered,
    and whether it is on the Pareto front. Raises UserError where a request cannot work, before
    anything is measured.
    """
    from triptych.inference.choice import candidates, processor
    from triptych.inference.runners import cores
    from triptych.runtime import runtime_record
    from triptych.training.device import device_name, pick_device

    options = options or BenchOptions()
    for model, weights in models:
        check_network(model, weights)
        if weights is not None and not weights.is_file():
            raise UserError(f"--weights {weights}: no such file")
    known = read_scores(scores)
    device = pick_device(options.device)
    runtimes = candidates("auto" if options.runtime == "all" else options.runtime, device)
    if options.runtime == "openvino" and device.type != "cpu":
        raise UserError(f"--runtime openvino runs on the processor, not on {device}: --device cpu")
    shown = shown_names([model for model, _ in models])
    rows: list[dict[str, Any]] = []
    total = len(models) * len(runtimes)
    with (
        bar("bench", total, unit="rows", show=options.progress) as progress,
        tempfile.TemporaryDirectory() as folder,
    ):
        for name, (model, weights) in zip(shown, models, strict=True):
            first: Path | None = None
            for number, runtime in enumerate(runtimes):
                labels = Path(folder) / f"{number}.npy"
                task = Task(
                    model,
                    None if weights is None else str(weights),
                    runtime.name,
                    runtime.precision,
                    str(device),
                    options.size,
                    options.seconds,
                    options.frames,
                    str(labels),
                )
                measured = in_own_process(task)
                if "error" not in measured:
                    first = first or labels
                    measured["labels_agree"] = _agreement(first, labels)
                    trained = measured["weights"] != "random"
                    measured["labels_must_agree"] = must_agree(model, weights) if trained else None
                rows.append(
                    {
                        "model": name,
                        "runtime": runtime.name,
                        "precision": runtime.precision,
                        **measured,
                    }
                )
                progress.advance(note=f"{name}, {runtime}")
    opened = _opened(shown, [model for model, _ in models], rows)
    named = dict(zip(opened, scores_of(list(opened.values()), known), strict=True))
    for name, score in named.items():
        if known and (score is None or score.claimed):
            log.warning("--scores: none of them is of %s with these weights", name)
    return {
        "size": f"{options.size[1]}x{options.size[0]}",
        "device": device_name(device),
        "processor": processor(),
        "cores": cores(),
        "versions": runtime_record(str(device))["versions"],
        "rule": RULE,
        "rows": rows,
        "points": points(rows, named),
    }


def shown_names(models: Sequence[str]) -> list[str]:
    """A registry name as it is, a folder by the end of its path; numbered where two are equal."""
    return unique_names([network_name(model) for model in models])


def _opened(
    shown: Sequence[str], models: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Measured]:
    """The models of which a row could be measured, by the names that are shown."""
    result = {}
    for name, model in zip(shown, models, strict=True):
        row = next((row for row in rows if row["model"] == name and "error" not in row), None)
        if row is not None:
            result[name] = Measured(model, row["weights"], row["weights_digest"])
    return result


def in_own_process(task: Task) -> dict[str, Any]:
    """Measure in a fresh process; a row with nothing but `error` where that fails."""
    return run_in_own_process("triptych.segment.bench.measure", task.to_json())


def _agreement(first: Path, second: Path) -> float:
    return float((np.load(first) == np.load(second)).mean())


def points(
    rows: Sequence[Mapping[str, Any]], scores: Mapping[str, Score | None]
) -> list[dict[str, Any]]:
    """One point a model that has a score and a speed, with the Pareto front of those alike.

    What rows are considered is said by `RULE`. Scores of different data are not alike: the front
    is that of the kind that most models have.
    """
    found = []
    for name, score in scores.items():
        fit = [
            row for row in rows if row["model"] == name and "error" not in row and not _against(row)
        ]
        if not fit or score is None:
            continue
        best = max(fit, key=lambda row: float(row["frames_per_second"]))
        found.append(
            {
                "model": name,
                "frames_per_second": best["frames_per_second"],
                "runtime": f"{best['runtime']} {best['precision']}",
                "mIoU": score.mIoU,
                "on": score.on,
                "score_size": score.size,
                "claimed": score.claimed,
            }
        )
    # Measured before claimed, then the data that most of them share.
    kinds = [(not point["claimed"], point["on"]) for point in found]
    main = max(kinds, key=lambda kind: (kind[0], kinds.count(kind)), default=None)
    alike = [point for point, kind in zip(found, kinds, strict=True) if kind == main]
    for point in found:
        point["on_front"] = point in alike and not any(_dominates(other, point) for other in alike)
    return found


def _against(row: Mapping[str, Any]) -> str:
    """Why a row is not considered for the points; empty where it is."""
    must = row["labels_must_agree"]
    if must is None:
        return "" if row["precision"] == "float32" else "not considered: random weights"
    agree = row["labels_agree"]
    return "" if agree >= must else f"{agree:.1%} of labels agree"


def _dominates(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether `one` is at least as fast and as good, and better in one of the two."""
    pairs = [(one[key], other[key]) for key in ("frames_per_second", "mIoU")]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def describe(record: Mapping[str, Any]) -> str:
    """The record as a table for a person."""
    lines = table(record, _against)
    if record["points"]:
        lines += ["", "accuracy against speed (*: on the Pareto front):"]
    for point in sorted(record["points"], key=lambda each: -each["frames_per_second"]):
        mark = "*" if point["on_front"] else " "
        whose = "claimed on" if point["claimed"] else "measured on"
        lines.append(
            f"{mark} {point['model']:<24} {point['frames_per_second']:>7.1f} frames/s  "
            f"mIoU {point['mIoU']:.3f} {whose} {point['on']}"
        )
    return "\n".join(lines)
