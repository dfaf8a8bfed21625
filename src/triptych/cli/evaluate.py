"""`triptych evaluate`."""

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
from triptych.cli.which_study import check_data, refuse_options, study_of_models
from triptych.errors import UserError


@click.command()
@model_option(
    "A model's name, a run folder, an exported file, a folder of label images, or a .json file of "
    "another program's detections (COCO results)."
)
@WEIGHTS
@click.option(
    "--data",
    required=True,
    help="Labelled frames: camvid:DIR, cityscapes:DIR, folder:DIR or streets; to detect in: "
    "voc2007:DIR, voc2012:DIR, vocxml:DIR, coco:FILE.json,PICTURES or streets.",
)
@click.option("--split", default="val", show_default=True, help="Such as val or drive:0006R0.")
@click.option(
    "--map", "map_file", type=FILE,
    help="TOML file: a segmentation model's classes to the data's.",
)  # fmt: skip
@click.option(
    "--strict/--no-strict", default=None,
    help="Of data to detect in: whether faulty pictures and boxes are refused, or left out, named "
    "and counted.  [default: strict]",
)  # fmt: skip
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
    strict: bool | None,
    batch_size: int,
    out: Path | None,
    size: tuple[int, int] | None,
    scales: tuple[float, ...] | None,
    tile: tuple[int, int] | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    """Score a model on one split of a data set.

    Labelled frames: mIoU, boundary F, per drive and by brightness. Boxes: AP50 as VOC has it, AP as
    COCO has it.
    """
    if len(chosen_models(models)) > 1:
        raise UserError("evaluate takes one --model at a time")
    study = study_of_models(chosen_models(models))
    check_data(study, data, chosen_models(models)[0])
    if study == "detect":
        given = {
            "--map": map_file is not None,
            "--size": size is not None,
            "--scales": scales is not None,
            "--tile": tile is not None,
        }
        refuse_options("detect", given)
        _detect(
            models, weights, data, split, strict is not False, batch_size, out, runtime, device,
            as_json,
        )  # fmt: skip
        return
    refuse_options("segment", {"--strict": strict is True, "--no-strict": strict is False})
    from triptych.data.mapping import read_mapping
    from triptych.data.open_data import open_data
    from triptych.segment.evaluate import describe
    from triptych.segment.evaluate import evaluate as run

    frames = open_data(data, split)
    labeller = open_labellers(
        models, weights, size=size, runtime=runtime, device=device, scales=scales, tile=tile
    )[0]
    mapping = read_mapping(map_file, labeller.classes, frames.classes) if map_file else None
    scores = run(labeller, frames, mapping=mapping, batch_size=batch_size, out=out)
    show(scores, as_json, describe)


def _detect(
    models: Sequence[str],
    weights: Sequence[Path],
    data: str,
    split: str,
    strict: bool,
    batch_size: int,
    out: Path | None,
    runtime: str,
    device: str,
    as_json: bool,
) -> None:
    from triptych.data.open_detection import open_detection
    from triptych.detect.evaluate import describe
    from triptych.detect.evaluate import evaluate as run

    pictures = open_detection(data, split, strict=strict)
    opened = open_detectors(models, weights, runtime=runtime, device=device, data=pictures)[0]
    scores = run(
        opened.predictor,
        pictures,
        rules=opened.rules,
        batch_size=batch_size,
        out=out,
        about=opened.told,
    )
    show(scores, as_json, describe)
