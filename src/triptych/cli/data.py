"""`triptych data`."""

from __future__ import annotations

import click

from triptych.cli.options import JSON, debuggable, show
from triptych.errors import UserError


@click.group()
def data() -> None:
    """Data sets: check them before training."""


@data.command("check")
@click.argument("spec", metavar="SPEC")
@JSON
@debuggable
def data_check(spec: str, as_json: bool) -> None:
    """Check a data set (camvid:DIR, cityscapes:DIR, folder:DIR): labels, sizes, splits, copies.

    Exit code 2 where training on it would be wrong.
    """
    from triptych.data.check import check

    report = check(spec)
    show(report.as_dict(), as_json, lambda _: report.as_text())
    if report.wrong:
        raise UserError(f"{spec}: training on it would be wrong, see above")
