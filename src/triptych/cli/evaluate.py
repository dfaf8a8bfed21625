"""`triptych evaluate`."""

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
from triptych.errors import UserError


@click.command()
@model_option("A model's name, a run folder, an exported file or a folder of label images.")
@WEIGHTS
@click.option("--data", required=True, help="camvid:DIR, cityscapes:DIR, folder:DIR or streets.")
@click.option("--split", default="val", show_default=True, help="Such as val or drive:0006R0.")
@click.option("--map", "map_file", type=FILE, help="TOML file: model's classes to the data's.")
@click.option("--batch-size", type=click.IntRange(1), default=1, show_default=True)
@click.option("--out", type=FILE, help="Keep scores.json and items.parquet in this folder.")
@SIZE
@SCALES
@TILE
@RUNTIME
@DEVICE
@JSON
@debuggable
def evaluate(
    models: Sequence[str],
    weights: Sequence[Path],
    data: str,
    split: str,
    map_file: Path | None,
    batch_size: int,
    out: Path | None,
    size: tuple[int, int] | None,
    scales: tuple[float, ...] | None,
    tile: tuple[int, int] | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    """Score a model on labelled frames: mIoU, boundary F, per drive and by brightness."""
    from triptych.data.mapping import read_mapping
    from triptych.data.open_data import open_data
    from triptych.segment.evaluate import describe
    from triptych.segment.evaluate import evaluate as run

    frames = open_data(data, split)
    labellers = open_labellers(
        models, weights, size=size, runtime=runtime, device=device, scales=scales, tile=tile
    )
    if len(labellers) > 1:
        raise UserError("evaluate takes one --model at a time")
    mapping = read_mapping(map_file, labellers[0].classes, frames.classes) if map_file else None
    scores = run(labellers[0], frames, mapping=mapping, batch_size=batch_size, out=out)
    show(scores, as_json, describe)
