"""The tables of a page as CSV, Markdown and LaTeX, its figures as SVG and PNG, into a folder."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.errors import UserError, WorkFailed
from triptych.report.blocks import Drawing, Tabular
from triptych.report.page import Page
from triptych.report.style import save_png, save_svg
from triptych.report.tables import Table

ENDINGS = (".csv", ".md", ".tex", ".svg", ".png")
DOTS_PER_INCH = 150


def export(page: Page, folder: Path) -> list[Path]:
    """Write all tables and figures; returns the files. What an earlier export wrote is replaced.

    Raises UserError where `folder` is a file, WorkFailed where it cannot be written.
    """
    if folder.is_file():
        raise UserError(f"--export {folder}: is a file; name a folder")
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for top in page.sections:
            for section in top.walk():
                for block in section.blocks:
                    name = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{section.id}-{block.name}")
                    if isinstance(block, Tabular):
                        for ending, text in (
                            (".csv", block.table.to_csv()),
                            (".md", block.table.to_markdown()),
                            (".tex", to_latex(block.table, block.title)),
                        ):
                            written.append(folder / f"{name}{ending}")
                            written[-1].write_text(text, encoding="utf-8")
                    elif isinstance(block, Drawing):
                        written.append(folder / f"{name}.svg")
                        save_svg(block.figure, written[-1])
                        written.append(folder / f"{name}.png")
                        save_png(block.figure, written[-1], DOTS_PER_INCH)
    except OSError as error:
        raise WorkFailed(f"--export {folder}: cannot be written ({error.strerror})") from error
    return written


_LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "→": r"$\to$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "–": "--",
    "²": r"$^2$",
}


def latex(text: str) -> str:
    """Text that LaTeX sets as it is, on one line."""
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))


def to_latex(table: Table, title: str) -> str:
    """A `table` environment; needs no package."""
    columns = "l" * len(table.header)
    lines = [" & ".join(map(latex, line)) + r" \\" for line in (table.header, *table.rows)]
    body = "\n".join([lines[0], r"\hline", *lines[1:]])
    return (
        f"\\begin{{table}}\n\\caption{{{latex(title)}}}\n\\begin{{tabular}}{{{columns}}}\n\\hline\n"
        f"{body}\n\\hline\n\\end{{tabular}}\n\\end{{table}}\n"
    )
