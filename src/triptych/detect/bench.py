"""`triptych bench` for detectors: how fast they are on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from triptych.benching import ENOUGH_FOR_P95, run_in_own_process, table, unique_names
from triptych.detect.network import check_network, network_name
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


@dataclass(frozen=True)
class Task:
    """What to measure."""

    model: str
    weights: str | None
    """A file; None for those of a run, or random ones of a registry name."""
    device: str
    size: tuple[int, int]
    seconds: float
    frames: int | None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Task:
        fields = json.loads(text)
        return Task(**{**fields, "size": tuple(fields["size"])})


def bench(
    models: Sequence[tuple[str, Path | None]], options: BenchOptions | None = None
) -> dict[str, Any]:
    """Measure detectors, each a registry name or a run folder with a file of weights or None.

    All in PyTorch and float32. A registry name without a file gets random weights. Returns the
    record: `rows`, one a model, with an `error` where it could not be measured. Raises UserError
    where a request cannot work, before anything is measured.
    """
    from triptych.inference.choice import processor
    from triptych.inference.runners import cores
    from triptych.runtime import runtime_record
    from triptych.training.device import device_name, pick_device

    options = options or BenchOptions()
    for model, weights in models:
        if Path(model).is_file():
            raise UserError(f"--model {model}: a file; bench takes a detector's name or run folder")
        check_network(model, weights)
    device = pick_device(options.device)
    shown = unique_names([network_name(model) for model, _ in models])
    rows: list[dict[str, Any]] = []
    with bar("bench", len(models), unit="rows", show=options.progress) as progress:
        for name, (model, weights) in zip(shown, models, strict=True):
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
    return {
        "size": f"{options.size[1]}x{options.size[0]}",
        "device": device_name(device),
        "processor": processor(),
        "cores": cores(),
        "versions": runtime_record(str(device))["versions"],
        "rule": RULE,
        "rows": rows,
        "points": [],
    }


def describe(record: Mapping[str, Any]) -> str:
    """The record as a table for a person."""
    return "\n".join(table(record))
