"""`triptych verify`: is what a page shows what its records give, and are these as they were?

The page is built again from the records that it carries, by the same way as it was made, and every
cell is compared. A record whose digest is another was edited; so was a picture. Whoever edits
records, digests and cells alike is not found out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib.metadata
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from triptych.errors import UserError
from triptych.report.blocks import Commands, Drawing, Sentences, Tabular
from triptych.report.html import RECORDS_ID, render, template_digest
from triptych.report.page import Page, build
from triptych.report.store import read_store

VOID = frozenset(("br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track"))
TOLERANCE = 0.01
"""Points by which a line of a figure may lie elsewhere."""
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_DIGEST = re.compile(r"\b[pmCh][0-9a-f]{10}\b")
SHOWN = 120
"""Letters of a text in a message."""


@dataclass
class Seen:
    """What the parts of a file say."""

    cells: dict[str, str] = field(default_factory=dict)
    """Name → its text, white space as one space."""
    shapes: dict[str, list[str]] = field(default_factory=dict)
    """Name of a cell with elements in it, such as a figure → they and their attributes."""
    twice: list[str] = field(default_factory=list)
    media: dict[str, str] = field(default_factory=dict)
    """Id → data address."""
    records: str = ""
    loose: list[str] = field(default_factory=list)
    """Texts outside of all cells, but for style and scripts."""
    markup: list[str] = field(default_factory=list)
    """Elements with their attributes, but for figures' and the bytes of media, and the texts of
    style and scripts: what decides how cells look."""


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen = Seen()
        self._open: list[tuple[str, str | None]] = []
        self._texts: dict[str, list[str]] = {}
        self._in_records = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        cell = named.get("data-cell")
        if cell is not None:
            if cell in self._texts:
                self.seen.twice.append(cell)
            self._texts.setdefault(cell, [])
        if "data-media" in named:
            self.seen.media[named["data-media"]] = named.get("src", "")
        if tag == "script" and named.get("id") == RECORDS_ID:
            self._in_records = True
        if tag != "svg" and not self._within("svg"):
            kept = {k: v for k, v in named.items() if k != "src" or "data-media" not in named}
            self.seen.markup.append(repr((tag, sorted(kept.items()))))
        owner = self._owner()
        if owner is not None and cell is None:
            self.seen.shapes.setdefault(owner, []).append(repr((tag, sorted(named.items()))))
        if tag not in VOID:
            self._open.append((tag, cell))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if any(tag == opened for opened, _ in self._open):
            while self._open.pop()[0] != tag:
                pass
        self._in_records = False

    def handle_data(self, data: str) -> None:
        if self._in_records:
            self.seen.records += data
            return
        owner = self._owner()
        if owner is not None:
            self._texts[owner].append(data)
        elif self._within("script", "style"):
            self.seen.markup.append(data)
        elif data.strip():
            self.seen.loose.append(" ".join(data.split()))

    def _within(self, *tags: str) -> bool:
        return any(tag in tags for tag, _ in self._open)

    def _owner(self) -> str | None:
        return next((cell for _, cell in reversed(self._open) if cell is not None), None)

    def finish(self) -> Seen:
        self.close()
        # In a figure every text is an element of its own.
        self.seen.cells = {
            name: " ".join(" ".join(each).split()) for name, each in self._texts.items()
        }
        return self.seen


def look_at(text: str) -> Seen:
    parser = _Parser()
    parser.feed(text)
    return parser.finish()


def verify(file: Path) -> dict[str, Any]:
    """What is wrong with a page: `problems`, a line each, none where every number holds.

    Raises UserError where the file is not a page of `triptych report`.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{file} is not a page of `triptych report`: it is no text") from None
    found = look_at(text)
    if not found.records:
        raise UserError(f"{file} is not a page of `triptych report`: it carries no records")
    try:
        store, problems = read_store(found.records)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    checked = {"cells": 0, "figures": 0, "records": len(store.records), "media": 0}
    notes: list[str] = []
    try:
        page = build(store)
        expected = look_at(render(page, reload=store.about.get("reload")))
    except UserError as error:
        problems.append(f"its records give no page: {error}")
        return {"file": str(file), "problems": problems, "checked": checked, "notes": notes}
    names = names_of(page)
    problems += _cells(found, expected, names)
    problems += _media(found, store.about["media"])
    drawn_alike = store.about.get("matplotlib") == importlib.metadata.version("matplotlib")
    if drawn_alike:
        problems += _shapes(found, expected, names)
    else:
        notes.append(
            f"figures were drawn by matplotlib {store.about.get('matplotlib')}: their texts were "
            "compared, their lines were not"
        )
    if store.about.get("template") != template_digest():
        notes.append(
            "the page is of another version of this program: its style and script were not compared"
        )
    elif found.markup != expected.markup:
        problems.append(
            f"style, script or markup was edited: {_first(found.markup, expected.markup)}"
        )
    if found.loose != expected.loose:
        problems.append(f"text outside the cells was edited: {_first(found.loose, expected.loose)}")
    checked |= {
        "cells": len(expected.cells),
        "figures": sum(name.startswith("figure") for name in names.values()),
        "media": len(found.media),
    }
    return {"file": str(file), "problems": problems, "checked": checked, "notes": notes}


def _cells(found: Seen, expected: Seen, names: Mapping[str, str]) -> list[str]:
    lines = [f"{_named(cell, names)} is there twice" for cell in found.twice]
    for cell, text in expected.cells.items():
        if cell not in found.cells:
            lines.append(f"{_named(cell, names)} is missing; the records give {_short(text)}")
        elif found.cells[cell] != text:
            lines.append(
                f"{_named(cell, names)} shows {_short(found.cells[cell])}; the records give "
                f"{_short(text)}"
            )
    for cell in found.cells:
        if cell not in expected.cells:
            lines.append(f"{_named(cell, names)} was added: the records give no such cell")
    return lines


def _shapes(found: Seen, expected: Seen, names: Mapping[str, str]) -> list[str]:
    """Figures whose texts are right and whose lines are not."""
    return [
        f"{_named(cell, names)}: what is drawn was edited"
        for cell, shapes in expected.shapes.items()
        if cell in names
        and names[cell].startswith("figure")
        and found.cells.get(cell) == expected.cells.get(cell)
        and not _alike(found.shapes.get(cell, []), shapes)
    ]


def _alike(found: list[str], expected: list[str]) -> bool:
    """Whether elements are the same, but for ids that are digests and for places that other
    processors round to another last digit."""
    if len(found) != len(expected):
        return False
    ours, theirs = ("\n".join(_DIGEST.sub("#", each) for each in of) for of in (found, expected))
    if _NUMBER.sub("0", ours) != _NUMBER.sub("0", theirs):
        return False
    numbers = zip(_NUMBER.findall(ours), _NUMBER.findall(theirs), strict=True)
    return all(a == b or abs(float(a) - float(b)) <= TOLERANCE for a, b in numbers)


def _media(found: Seen, entries: list[dict[str, Any]]) -> list[str]:
    lines = []
    for entry in entries:
        what = f"picture '{entry['layer']}, {entry['frame']}' ({entry['id']})"
        address = found.media.get(str(entry["id"]), "")
        try:
            content = base64.b64decode(address.partition(";base64,")[2], validate=True)
        except (ValueError, binascii.Error):
            content = b""
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            lines.append(f"{what} was edited or is missing")
    known = {str(entry["id"]) for entry in entries}
    lines += [f"picture {name} was added" for name in found.media if name not in known]
    return lines


def names_of(page: Page) -> dict[str, str]:
    """Every cell's name as a person would say it."""
    found: dict[str, str] = {}
    for top in page.sections:
        for section in top.walk():
            where = f" in '{top.title}'"
            for block in section.blocks:
                name = f"{section.id}.{block.name}"
                if isinstance(block, Tabular):
                    for row in range(len(block.table.rows)):
                        for column in range(len(block.table.header)):
                            text = block.name_of(row, column)
                            found[f"{name}.{row + 1}.{column + 1}"] = text + where
                elif isinstance(block, Drawing):
                    found[name] = f"figure '{block.title}'{where}"
                elif isinstance(block, Sentences | Commands):
                    for index in range(len(block.lines)):
                        title = block.title or block.name
                        found[f"{name}.{index + 1}"] = f"line {index + 1} of '{title}'{where}"
    return found


def _named(cell: str, names: Mapping[str, str]) -> str:
    return f"cell {cell} ({names[cell]})" if cell in names else f"cell {cell}"


def _short(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 1] + "…")


def _first(found: list[str], expected: list[str]) -> str:
    for ours, theirs in zip(found, expected, strict=False):
        if ours != theirs:
            return f"{_short(ours)} in place of {_short(theirs)}"
    longer = found[len(expected) :] or expected[len(found) :]
    return f"{_short(longer[0])} {'added' if len(found) > len(expected) else 'missing'}"


def describe(result: Mapping[str, Any]) -> str:
    """The result for a person."""
    checked = result["checked"]
    lines = [*(f"note: {note}" for note in result["notes"])]
    if result["problems"]:
        count = len(result["problems"])
        head = f"{result['file']}: {count} problem{'s' if count > 1 else ''}"
        return "\n".join([head, *(f"  {line}" for line in result["problems"]), *lines])
    text = (
        f"{result['file']}: every number holds ({checked['cells']:,} cells, {checked['figures']} "
        f"figures, {checked['media']} pictures, computed from {checked['records']:,} records)"
    )
    return "\n".join([text, *lines])
