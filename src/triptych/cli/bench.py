"""`triptych bench`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from triptych.cli.labellers import chosen_models, with_weights
from triptych.cli.options import DEVICE, FILE, JSON, PIXELS, WEIGHTS, debuggable, model_option, show
from triptych.cli.which_study import refuse_options, study_of_models
from triptych.errors import UserError, WorkFailed


@click.command()
@model_option("A name or a run folder, of segmentation models or of detectors; may be repeated.")
@WEIGHTS
@click.option("--size", type=PIXELS, default="480x360", show_default=True, help="Of the pictures.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    help="Of measuring latency, and again throughput, for each row.  [default: 3]",
)
@click.option("--frames", type=click.IntRange(1), help="Take this many frames instead.")
@click.option(
    "--runtime",
    type=click.Choice(["all", "torch", "openvino"]),
    default="all",
    show_default=True,
    help="What runs segmentation models; all: each, in every precision of this machine. Detectors "
    "run in torch.",
)
@click.option(
    "--scores", multiple=True, type=FILE, metavar="PLACE",
    help="A scores.json, or a folder of evaluations or of a run; claimed scores otherwise, where "
    "there are any.",
)  # fmt: skip
@click.option("--out", type=FILE, help="Keep bench.json and the figure in this folder.")
@DEVICE
@JSON
@debuggable
def bench(
    models: Sequence[str],
    weights: Sequence[Path],
    size: tuple[int, int],
    seconds: float | None,
    frames: int | None,
    runtime: str,
    scores: Sequence[Path],
    out: Path | None,
    device: str,
    as_json: bool,
) -> None:
    """Measure speed and memory of models on this machine; accuracy against speed.

    Frames per second, latency (p50, and from 20 frames on p95, one frame at a time) and peak
    memory, each model and runtime in a process of its own. Where a model's weights are not on this
    machine they are drawn at random. A model that fails is a row with its error, and the exit code
    is 1.
    """
    if seconds is not None and frames is not None:
        raise UserError("--seconds and --frames: give one of them")
    if out is not None:
        _check_out(out)
    chosen = with_weights(models, weights)
    study = study_of_models(chosen_models(models))
    if study == "detect":
        refuse_options("detect", {"--runtime openvino": runtime == "openvino"})
        from triptych.detect import bench as detect

        limits = detect.BenchOptions(size, seconds or 3.0, frames, device)
        _finish(detect.bench(chosen, limits, scores), out, as_json, detect.describe)
        return
    from triptych.segment import bench as segment

    options = segment.BenchOptions(size, seconds or 3.0, frames, runtime, device)
    _finish(segment.bench(chosen, options, scores), out, as_json, segment.describe)


def _check_out(out: Path) -> None:
    """Raise UserError where nothing can be written into `out`: minutes before there is anything."""
    from triptych.aside import check_writable

    try:
        check_writable(out)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from error


def _finish(
    record: dict[str, Any], out: Path | None, as_json: bool, describe: Callable[[Any], str]
) -> None:
    """Keep and print what was measured, also where it cannot be kept.

    Raises WorkFailed where it cannot, or where something could not be measured.
    """
    try:
        if out is not None:
            from triptych.report.pareto import write_bench

            write_bench(record, out)
    finally:
        show(record, as_json, describe)
    failed = [row for row in record["rows"] if "error" in row]
    if failed:
        raise WorkFailed(
            f"{len(failed)} of {len(record['rows'])} rows could not be measured; "
            f"{failed[0]['model']}: {failed[0]['error']}"
        )
