"""`triptych report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from triptych.cli.options import FILE, JSON, debuggable, show


@click.command()
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=FILE)
@click.option(
    "--out", type=FILE, default="report.html", show_default=True, help="The file to write."
)
@click.option(
    "--watch", is_flag=True, help="Write it anew until all runs have ended; the page reloads."
)
@click.option("--anonymous", is_flag=True, help="Leave out user, host, home, paths and git remote.")
@click.option(
    "--export",
    type=FILE,
    metavar="DIR",
    help="Also tables (CSV, Markdown, LaTeX) and figures (SVG, PNG) into this folder.",
)
@JSON
@debuggable
def report(
    folders: Sequence[Path],
    out: Path,
    watch: bool,
    anonymous: bool,
    export: Path | None,
    as_json: bool,
) -> None:
    """Write one self-contained page on runs and comparisons.

    Each DIR is a comparison, a run, an evaluation, what `bench` or `predict` wrote, or a folder of
    those, of any study. The page needs no network; it carries its records, from which `triptych
    verify` computes every number anew. What is broken or missing is named on it and left out.
    """
    from triptych.report import write

    reload = write.RELOAD if watch else None
    options = write.Options(anonymous=anonymous, export=export, reload=reload)

    def say(result: Mapping[str, Any]) -> None:
        show(result, as_json, _describe)

    if watch:
        write.watch(folders, out, options, say)
    else:
        say(write.report(folders, out, options))


def _describe(result: Mapping[str, Any]) -> str:
    size = result["bytes"] / 1e6
    lines = [f"{result['report']}: {len(result['sections'])} results, {size:.1f} MB"]
    lines += [f"  {title}" for title in result["sections"]]
    lines += [f"  left out: {problem}" for problem in result["left_out"]]
    if len(result["files"]) > 1:
        lines.append(f"  exported {len(result['files']) - 1} files")
    return "\n".join(lines)
