"""`triptych verify`."""

from __future__ import annotations

from pathlib import Path

import click

from triptych.cli.options import FILE, JSON, debuggable, show


@click.command()
@click.argument("file", metavar="FILE", type=FILE)
@JSON
@debuggable
def verify(file: Path, as_json: bool) -> None:
    """Compute every number of a report anew from the records that it carries.

    Names each cell, figure, picture or record that was edited, and then ends with 1.
    """
    from triptych.errors import WorkFailed
    from triptych.report.verify import describe
    from triptych.report.verify import verify as check

    result = check(file)
    show(result, as_json, describe)
    if result["problems"]:
        count = len(result["problems"])
        raise WorkFailed(f"{file}: {count} of its parts are not what its records give")
