"""`triptych demo`."""

from __future__ import annotations

from pathlib import Path

import click

from triptych.cli.options import DEVICE, FILE, JSON, debuggable, show


@click.command()
@click.option("--out", type=FILE, default=Path("triptych-demo"), show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the training and of the clip.")
@DEVICE
@JSON
@debuggable
def demo(out: Path, seed: int, device: str, as_json: bool) -> None:
    """Three studies in miniature on streets made by program: offline, under five minutes."""
    from triptych.demo import demo as run

    show(run(out, seed=seed, device=device), as_json, lambda r: r["text"])
