"""`triptych predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from triptych.cli.labellers import chosen_models, open_detectors, open_labellers
from triptych.cli.options import (
    DEVICE,
    FILE,
    JSON,
    RUNTIME,
    SCALES,
    SIZE,
    TILE,
    WEIGHTS,
    debuggable,
    model_option,
    show,
)
from triptych.cli.which_study import refuse_options, study_of_models


@click.command()
@click.argument("source", metavar="INPUT", type=FILE)
@model_option(
    "A model's name, a run folder, an exported file or a folder of label images; of segmentation "
    "models or of detectors; may be repeated."
)
@WEIGHTS
@click.option("--out", type=FILE, default=Path("triptych-predictions"), show_default=True)
@click.option(
    "--view",
    type=click.Choice(["side", "blend", "labels", "edges"]),
    default="side",
    show_default=True,
    help="side: the input, right of it each model's labels or boxes; blend: labels or boxes over "
    "the picture; labels: labels alone; edges: the input, right of it where each model sees "
    "boundaries.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    help="How much the labels cover the picture in blend.  [default: 0.6]",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    help="Of detectors: draw boxes with at least this score.  [default: 0.5]",
)
@click.option("--save-labels", is_flag=True, help="Also write label images (ids, with palette).")
@click.option("--audio/--no-audio", default=True, show_default=True, help="Keep a video's sound.")
@click.option(
    "--stability/--no-stability",
    default=None,
    help="Measure how much of a video keeps its class from frame to frame.  [default: stability]",
)
@SIZE
@SCALES
@TILE
@RUNTIME
@DEVICE
@JSON
@debuggable
def predict(
    source: Path,
    models: Sequence[str],
    weights: Sequence[Path],
    out: Path,
    view: str,
    alpha: float | None,
    min_score: float | None,
    save_labels: bool,
    audio: bool,
    stability: bool | None,
    size: tuple[int, int] | None,
    scales: tuple[float, ...] | None,
    tile: tuple[int, int] | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    """Label an image, a folder of images or a video, with one model or several side by side.

    A detector draws boxes, and writes all that it finds to detections.json.
    """
    if study_of_models(chosen_models(models)) == "detect":
        given = {
            f"--view {view}": view in ("labels", "edges"),
            "--alpha": alpha is not None,
            "--save-labels": save_labels,
            "--stability": stability is True,
            "--no-stability": stability is False,
            "--size": size is not None,
            "--scales": scales is not None,
            "--tile": tile is not None,
        }
        refuse_options("detect", given)
        least = 0.5 if min_score is None else min_score
        _detect(source, models, weights, out, view, least, audio, runtime, device, as_json)
        return
    refuse_options("segment", {"--min-score": min_score is not None})
    from triptych.segment.predict import PredictOptions, check_request, describe
    from triptych.segment.predict import predict as run

    options = PredictOptions(
        view=view,  # type: ignore[arg-type]
        alpha=0.6 if alpha is None else alpha,
        save_labels=save_labels,
        audio=audio,
        stability=stability is not False,
    )
    check_request(source, out, options)
    labellers = open_labellers(
        models,
        weights,
        size=size,
        runtime=runtime,
        device=device,
        scales=scales,
        tile=tile,
        edges=view == "edges",
    )
    show(run(source, labellers, out, options), as_json, describe)


def _detect(
    source: Path,
    models: Sequence[str],
    weights: Sequence[Path],
    out: Path,
    view: str,
    min_score: float,
    audio: bool,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    from triptych.detect.predict import DetectOptions, check_request, describe
    from triptych.detect.predict import predict as run

    options = DetectOptions(view=view, min_score=min_score, audio=audio)  # type: ignore[arg-type]
    check_request(source, out, options)
    opened = open_detectors(models, weights, runtime=runtime, device=device)
    show(run(source, [each.predictor for each in opened], out, options), as_json, describe)
