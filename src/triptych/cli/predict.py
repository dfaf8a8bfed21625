"""`triptych predict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from triptych.cli.labellers import open_labellers
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


@click.command()
@click.argument("source", metavar="INPUT", type=FILE)
@model_option(
    "A model's name, a run folder, an exported file or a folder of label images; may be repeated."
)
@WEIGHTS
@click.option("--out", type=FILE, default=Path("triptych-predictions"), show_default=True)
@click.option(
    "--view",
    type=click.Choice(["side", "blend", "labels", "edges"]),
    default="side",
    show_default=True,
    help="side: the input, right of it each model's labels; blend: labels over the picture; "
    "labels: labels alone; edges: the input, right of it where each model sees boundaries.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="How much the labels cover the picture in blend.",
)
@click.option("--save-labels", is_flag=True, help="Also write label images (ids, with palette).")
@click.option("--audio/--no-audio", default=True, show_default=True, help="Keep a video's sound.")
@click.option(
    "--stability/--no-stability",
    default=True,
    show_default=True,
    help="Measure how much of a video keeps its class from frame to frame.",
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
    alpha: float,
    save_labels: bool,
    audio: bool,
    stability: bool,
    size: tuple[int, int] | None,
    scales: tuple[float, ...] | None,
    tile: tuple[int, int] | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    """Label an image, a folder of images or a video, with one model or several side by side."""
    from triptych.segment.predict import PredictOptions, check_request, describe
    from triptych.segment.predict import predict as run

    options = PredictOptions(
        view=view,  # type: ignore[arg-type]
        alpha=alpha,
        save_labels=save_labels,
        audio=audio,
        stability=stability,
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
