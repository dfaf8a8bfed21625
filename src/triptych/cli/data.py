"""`triptych data`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from triptych.cli.options import FILE, JSON, debuggable, show
from triptych.errors import UserError


@click.group()
def data() -> None:
    """Data sets: fetch them, and check them before training."""


@data.command("list")
@JSON
@debuggable
def data_list(as_json: bool) -> None:
    """List the data sets that can be fetched: size, terms, and whether they are here."""
    from triptych.data.published import data_records, describe_data

    show(data_records(), as_json, describe_data)


@data.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--out", type=FILE, help="Folder to put it into, instead of the cache.")
@JSON
@debuggable
def data_fetch(names: Sequence[str], out: Path | None, as_json: bool) -> None:
    """Download data sets (voc2007, voc2012, cifar100): resumed where broken off, checked.

    With --out DIR, a year of VOC lies in DIR/VOC2007 then: its data specification is voc2007:DIR.
    """
    from triptych.data.published import fetch

    places = {name: str(fetch(name, out)) for name in names}
    show(places, as_json, lambda r: "\n".join(f"{k}: {v}" for k, v in r.items()))


@data.command("check")
@click.argument("spec", metavar="SPEC")
@JSON
@debuggable
def data_check(spec: str, as_json: bool) -> None:
    """Check a data set: labels or boxes, sizes, splits, copies.

    SPEC is camvid:DIR, cityscapes:DIR or folder:DIR (label maps), or voc2007:DIR, voc2012:DIR,
    vocxml:DIR or coco:FILE.json,PICTURES (boxes). How folder:DIR is laid out stands in
    docs/segment.md, "Your own frames".

    Exit code 2 where training on it would be wrong.
    """
    from triptych.data.check import check

    report = check(spec)
    show(report.as_dict(), as_json, lambda _: report.as_text())
    if report.wrong:
        raise UserError(f"{spec}: training on it would be wrong, see above")
