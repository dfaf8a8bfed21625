"""Every model on every runtime, one after the other, and which of them are worth their time."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from triptych.benching import ENOUGH_FOR_P95, run_in_own_process
from triptych.benching.points import point_lines
from triptych.benching.record import Scoring, bench_record
from triptych.benching.table import table
from triptych.errors import UserError
from triptych.progress import bar
from triptych.segment.bench.known import MIOU, known_model
from triptych.segment.bench.measure import RuntimeTask
from triptych.segment.network import check_network, must_agree

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
    from triptych.inference.choice import candidates
    from triptych.training.device import pick_device

    options = options or BenchOptions()
    for model, weights in models:
        check_network(model, weights)
        if weights is not None and not weights.is_file():
            raise UserError(f"--weights {weights}: no such file")
    scoring = Scoring.of(MIOU, [known_model(model) for model, _ in models], scores)
    device = pick_device(options.device)
    runtimes = candidates("auto" if options.runtime == "all" else options.runtime, device)
    if options.runtime == "openvino" and device.type != "cpu":
        raise UserError(f"--runtime openvino runs on the processor, not on {device}: --device cpu")
    rows: list[dict[str, Any]] = []
    total = len(models) * len(runtimes)
    with (
        bar("bench", total, unit="rows", show=options.progress) as progress,
        tempfile.TemporaryDirectory() as folder,
    ):
        for name, (model, weights) in zip(scoring.models, models, strict=True):
            first: Path | None = None
            for number, runtime in enumerate(runtimes):
                labels = Path(folder) / f"{number}.npy"
                task = RuntimeTask(
                    model=model,
                    weights=None if weights is None else str(weights),
                    device=str(device),
                    size=options.size,
                    seconds=options.seconds,
                    frames=options.frames,
                    runtime=runtime.name,
                    precision=runtime.precision,
                    labels=str(labels),
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
    return bench_record(scoring, rows, size=options.size, device=device, rule=RULE, against=against)


def in_own_process(task: RuntimeTask) -> dict[str, Any]:
    """Measure in a fresh process; a row with nothing but `error` where that fails."""
    return run_in_own_process("triptych.segment.bench.measure", task.to_json())


def _agreement(first: Path, second: Path) -> float:
    return float((np.load(first) == np.load(second)).mean())


def against(row: Mapping[str, Any]) -> str:
    """Why a row is not considered for the points, see `RULE`; empty where it is."""
    must = row["labels_must_agree"]
    if must is None:
        return "" if row["precision"] == "float32" else "not considered: random weights"
    agree = row["labels_agree"]
    return "" if agree >= must else f"{agree:.1%} of labels agree"


def describe(record: Mapping[str, Any]) -> str:
    """The record as a table for a person."""
    return "\n".join([*table(record, against), *point_lines(record)])
