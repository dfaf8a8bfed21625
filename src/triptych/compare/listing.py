"""The comparisons that have a name, as `triptych compare list` shows them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

from triptych.compare.sources import FOLDER
from triptych.errors import UserError


def listing() -> dict[str, str]:
    """Name → description (the first paragraph of the file) of every comparison in
    `comparisons/` under the working folder. Runs none of them.

    Raises UserError where there is none, or where a file is not Python.
    """
    files = sorted(Path(FOLDER).glob("*.py"))
    if not files:
        raise UserError(f"no {FOLDER}/ with comparisons under the working folder")
    return {file.stem.replace("_", "-"): _about(file) for file in files}


def _about(file: Path) -> str:
    try:
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    return " ".join(text.partition("\n\n")[0].split())


def as_text(found: Mapping[str, Mapping[str, str]]) -> str:
    """For a person; `found` has `comparisons`."""
    return "\n".join(f"{name}\n    {about}" for name, about in found["comparisons"].items())
