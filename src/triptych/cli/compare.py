"""`triptych compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from triptych.cli.engine import cluster_of
from triptych.cli.options import (
    ADDRESS,
    DEVICE,
    ENGINE,
    FILE,
    JSON,
    MAX_MINUTES,
    SIZE,
    debuggable,
    show,
)


@click.command()
@click.argument("what", metavar="list|NAME|FILE.py|RECIPE...", nargs=-1)
@click.option("--varies", multiple=True, metavar="FIELD", help="A field that may differ.")
@click.option("--metric", help="The one score that is judged, such as top1 or mIoU.")
@click.option("--margin", type=float, help="A difference smaller than this does not matter.")
@click.option("--seeds", type=click.IntRange(1), help="Seeds of every arm.  [default: 3]")
@click.option(
    "--until-decided",
    type=click.IntRange(3),
    metavar="N",
    help="Add seeds until each pair is decided, at most N.",
)
@click.option(
    "--reach",
    type=float,
    multiple=True,
    metavar="SCORE",
    help="Also tell how many samples each arm needs for it.",
)
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="Change a field of all recipes."
)
@click.option("--predictions", multiple=True, metavar="M", help="A fixed arm; see above.")
@click.option("--data", help="Labelled data for fixed arms alone, such as camvid:DIR.")
@click.option("--split", help="Of --data.  [default: val]")
@SIZE
@click.option("--out", type=FILE, help="Folder.  [default: runs/compare-NAME]")
@click.option("--status", is_flag=True, help="Say how far it is; run nothing.")
@click.option("--record", type=FILE, help="Also write tables and figures into this folder.")
@MAX_MINUTES
@DEVICE
@ENGINE
@ADDRESS
@JSON
@debuggable
def compare(
    what: Sequence[str],
    varies: Sequence[str],
    metric: str | None,
    margin: float | None,
    seeds: int | None,
    until_decided: int | None,
    reach: Sequence[float],
    settings: Sequence[str],
    predictions: Sequence[str],
    data: str | None,
    split: str | None,
    size: tuple[int, int] | None,
    out: Path | None,
    status: bool,
    record: Path | None,
    max_minutes: float | None,
    device: str,
    engine: str,
    address: str | None,
    as_json: bool,
) -> None:
    """Compare recipes over seeds, or fixed predictions over items; ends with verdict and audit.

    What to compare is the name of a file in comparisons/ (`list` shows them), any Python file that
    makes a Comparison, or recipes:
    `classify/tiny classify/tiny:model=vit-tiny --varies model --metric top1 --margin 0.02`.

    Each --predictions is a fixed arm: for frames a published model's name, a run folder or a folder
    of label images; for objects a run folder or a JSON file of COCO results; for classes a CSV file
    of scores per image. Alone they are compared on --data; beside recipes each is compared with
    every recipe on the recipes' data, and no verdict depends on it.

    The same command goes on where it stopped. With `--engine ray` cells train side by side on a
    cluster.
    """
    if list(what) == ["list"]:
        from triptych.compare import listing

        show({"comparisons": listing.listing()}, as_json, listing.as_text)
        return
    from triptych.compare import sources
    from triptych.compare.describe import describe
    from triptych.compare.run import compare as run
    from triptych.compare.run import status as look
    from triptych.stopping import StopRequest

    comparison = sources.of_command_line(
        what,
        predictions,
        varies=varies,
        metric=metric,
        margin=margin,
        seeds=seeds,
        until_decided=until_decided,
        settings=settings,
        data=data,
        split=split,
        size=size,
    )
    further = [score for score in dict.fromkeys(reach) if score not in comparison.reach]
    comparison = replace(comparison, reach=(*comparison.reach, *further))
    folder = out or Path("runs") / f"compare-{sources.folder_name(what, predictions)}"
    if status:
        verdict = look(comparison, folder)
    else:
        stop = StopRequest(max_minutes)
        with cluster_of(engine, address) as cluster:
            verdict = run(comparison, folder, device=device, stop=stop, cluster=cluster)
        from triptych.report.record import write_curves

        write_curves(folder, verdict)
    if record is not None:
        from triptych.report.record import write_record

        write_record(folder, verdict, record)
    show({"comparison": str(folder), **verdict}, as_json, describe)
