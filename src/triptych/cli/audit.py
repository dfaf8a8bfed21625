"""`triptych audit`."""

from __future__ import annotations

from pathlib import Path

import click

from triptych.cli.options import FILE, JSON, debuggable, show


@click.command()
@click.argument("folder", metavar="RUN|COMPARISON", type=FILE)
@JSON
@debuggable
def audit(folder: Path, as_json: bool) -> None:
    """Say what a run really did, or whether a comparison's arms were treated alike."""
    from triptych.audit import as_text
    from triptych.compare.audit_folder import audit_folder

    lines = audit_folder(folder)
    record = {"folder": str(folder), "audit": [line.as_dict() for line in lines]}
    show(record, as_json, lambda _: as_text(lines))
