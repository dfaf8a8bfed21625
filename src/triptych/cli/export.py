"""`triptych export`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from triptych.cli.options import DEFAULT_MODEL, FILE, JSON, PIXELS, debuggable, show
from triptych.cli.which_study import study_of_models


@click.command()
@click.option(
    "--model", default=DEFAULT_MODEL, show_default=True, metavar="M",
    help="A name or a run folder of a segmentation model or a detector.",
)  # fmt: skip
@click.option("--weights", type=FILE, help="Weights file, in place of the published ones.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["onnx", "openvino"]),
    help="Of the file.  [default: by the ending of --out]",
)
@click.option(
    "--size",
    type=PIXELS,
    default="480x360",
    show_default=True,
    help="Of the pictures that the file takes.",
)
@click.option("--out", type=FILE, required=True, help="A file that ends in .onnx or .xml.")
@JSON
@debuggable
def export(
    model: str,
    weights: Path | None,
    form: str | None,
    size: tuple[int, int],
    out: Path,
    as_json: bool,
) -> None:
    """Write a model as one file for another runtime: 8-bit RGB pictures in, its answer out.

    Of a segmentation model labels and logits, of a detector boxes, scores and labels.
    Normalisation is part of the file; the classes are in its metadata. Before the file appears it
    is run in its own runtime and its answer is compared with PyTorch's.
    """
    study = study_of_models([model])
    network = import_module(f"triptych.{study}.network")
    network.check_network(model, weights)
    from triptych.exporting import format_of

    exporting = import_module(f"triptych.{study}.export")
    chosen = format_of(out, form)
    exporting.check_request(out, chosen)
    opened = network.open_network(model, weights)
    show(exporting.export(opened, out, chosen, size), as_json, exporting.describe)
