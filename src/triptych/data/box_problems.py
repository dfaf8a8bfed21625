"""What is wrong with the files of a detection data set: named, counted, refused or left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from triptych.data.findings import NAMED, Finding
from triptych.errors import UserError

Kind = Literal[
    "unreadable",
    "no picture",
    "no annotation",
    "size",
    "outside",
    "over the edge",
    "no area",
    "no number",
    "unknown class",
    "missing id",
    "duplicate id",
]
Severity = Literal["error", "note"]

KINDS: dict[str, str] = {
    "unreadable": "files cannot be read",
    "no picture": "annotations have no picture",
    "no annotation": "pictures have no annotation",
    "size": "pictures have another size than their annotation says",
    "outside": "boxes lie outside their picture",
    "over the edge": "boxes reach less than a pixel over the edge of their picture and are cut",
    "no area": "boxes have no area",
    "no number": "boxes are no four numbers",
    "unknown class": "objects have no known class",
    "missing id": "entries name an id that is not there, or have none",
    "duplicate id": "ids are there twice",
}
"""What each kind is called, after its count."""
HARMLESS: frozenset[Kind] = frozenset({"over the edge"})
"""Kinds that are mended alike by everybody, and so refused by nobody."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    kind: Kind
    file: str
    """The file that is to be mended."""
    text: str
    """One line that names the file, and the object in it."""
    key: str | None = None
    """Of the picture, where it cannot be used at all."""


def findings_of(problems: Sequence[Problem], split: str) -> list[Finding]:
    """One finding a kind, with its count, the first few by name, and all files."""
    found = []
    for kind, meaning in KINDS.items():
        members = [problem for problem in problems if problem.kind == kind]
        if not members:
            continue
        more = len(members) - NAMED
        named = "; ".join(member.text for member in members[:NAMED])
        text = f"{split}: {len(members)} {meaning}: {named}"
        text += f"; and {more} more" if more > 0 else ""
        severity: Severity = "note" if kind in HARMLESS else "error"
        found.append(Finding(severity, text, tuple(dict.fromkeys(m.file for m in members))))
    return found


def refuse(problems: Iterable[Problem]) -> None:
    """Raise UserError with the first problem that is not harmless, and how many more there are."""
    serious = [problem for problem in problems if problem.kind not in HARMLESS]
    if serious:
        more = len(serious) - 1
        raise UserError(
            f"{serious[0].text}{f', and {more} more problems' if more else ''}; "
            "`triptych data check --json` lists all files"
        )


def left_out(problems: Iterable[Problem]) -> dict[str, dict[str, Any]]:
    """For a record: of each kind that is not harmless the `count` of what was left out (or, of
    boxes that lie partly outside, cut), and the names of the `files`, without their folders."""
    found: dict[str, dict[str, Any]] = {}
    for problem in problems:
        if problem.kind not in HARMLESS:
            row = found.setdefault(problem.kind, {"count": 0, "files": []})
            row["count"] += 1
            if (name := Path(problem.file).name) not in row["files"]:
                row["files"].append(name)
    return found


def left_out_line(problems: Sequence[Problem]) -> str:
    """What was left out, in one line: by kind how often, and the first files; empty where nothing
    was."""
    parts = []
    for kind, row in left_out(problems).items():
        files = row["files"]
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        parts.append(f"{row['count']} {KINDS[kind]} ({', '.join(files[:NAMED])}{more})")
    return "; ".join(parts)
