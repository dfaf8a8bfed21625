"""`triptych bench` for detectors: how fast they are on this machine, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.benching import ENOUGH_FOR_P95, Task, run_in_own_process
from triptych.benching.known_scores import Metric, Model
from triptych.benching.points import point_lines
from triptych.benching.record import Scoring, bench_record
from triptych.benching.table import table
from triptych.detect.models import is_name
from triptych.detect.network import check_network, network_name
from triptych.detect.scores import AP50
from triptych.errors import UserError
from triptych.progress import bar

RULE = (
    "A picture of this size, already in memory, to its detections; resizing, normalisation and "
    "non-maximum suppression are part of it, decoding and drawing are not. One picture at a time, "
    f"latency_frames of them; p95 from {ENOUGH_FOR_P95} frames on, else null. peak_memory_bytes: "
    "of a process of its own, libraries included; memory_before_bytes: of the same process before "
    "the model was made. The head of a detector runs once for each proposal, so time depends on "
    "picture and weights: detections says how many were given for the test picture. Random weights "
    "propose as many as they may, which is the slowest case."
)

METRIC = Metric(AP50, rules=("iou", "plus_one", "score_floor", "max_detections", AP50))
"""Detectors resize pictures as they do for their speed, so the size of an evaluation says nothing
beside it."""


@dataclass(frozen=True)
class BenchOptions:
    """How to measure."""

    size: tuple[int, int] = (360, 480)
    """(height, width) of the picture."""
    seconds: float = 3.0
    frames: int | None = None
    """How many frames to measure instead."""
    device: str = "auto"
    progress: bool = True


def bench(
    models: Sequence[tuple[str, Path | None]],
    options: BenchOptions | None = None,
    scores: Sequence[Path] = (),
) -> dict[str, Any]:
    """Measure detectors, each a registry name or a run folder with a file of weights or None.

    All in PyTorch and float32. A registry name without a file gets random weights. `scores` are
    places of evaluations (see `read_scores`). Returns the record: `rows`, one a model, with an
    `error` where it could not be measured; `points`, one a model that has a score. Raises UserError
    where a request cannot work, before anything is measured.
    """
    from triptych.training.device import pick_device

    options = options or BenchOptions()
    for model, weights in models:
        if Path(model).is_file():
            raise UserError(f"--model {model}: a file; bench takes a detector's name or run folder")
        check_network(model, weights)
    scoring = Scoring.of(METRIC, [known_model(model) for model, _ in models], scores)
    device = pick_device(options.device)
    rows: list[dict[str, Any]] = []
    with bar("bench", len(models), unit="rows", show=options.progress) as progress:
        for name, (model, weights) in zip(scoring.models, models, strict=True):
            task = Task(
                model,
                None if weights is None else str(weights),
                str(device),
                options.size,
                options.seconds,
                options.frames,
            )
            measured = run_in_own_process("triptych.detect.bench_measure", task.to_json())
            rows.append({"model": name, "runtime": "torch", "precision": "float32", **measured})
            progress.advance(note=name)
    return bench_record(scoring, rows, size=options.size, device=device, rule=RULE)


def known_model(model: str) -> Model:
    """`model` as `--model` says it. No weights of whole detectors are published."""
    if is_name(model):
        return Model(network_name(model), registered=True)
    return Model(network_name(model), registered=False, run=Path(model).resolve())


def describe(record: Mapping[str, Any]) -> str:
    """The record as a table for a person."""
    return "\n".join([*table(record), *point_lines(record)])
