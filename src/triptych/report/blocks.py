"""What a page is made of. Whatever shows a number is a cell with a name, and comes from here alone.

Blocks hold texts, not HTML: the template escapes all of them, but for figures, whose SVG matplotlib
writes and `inline_svg` makes fit to stand in a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from triptych.report.style import svg_text
from triptych.report.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Sentences:
    """Lines of text, each a cell."""

    kind: ClassVar[str] = "sentences"
    name: str
    lines: tuple[str, ...]
    style: str = "list"
    """list, verdict, plain or warning."""
    title: str = ""


@dataclass(frozen=True)
class Tabular:
    """A table whose first column heads its rows."""

    kind: ClassVar[str] = "table"
    name: str
    title: str
    table: Table
    note: str = ""
    swatches: Mapping[str, int] = field(default_factory=dict)
    """Text of a cell → place of the arm's colour."""
    folded: bool = False

    def name_of(self, row: int, column: int) -> str:
        """Of a cell, for a person."""
        head = self.table.rows[row][0] if self.table.rows[row] else ""
        return f"table '{self.title}', row '{head}', column '{self.table.header[column]}'"


@dataclass(frozen=True)
class Drawing:
    """A figure."""

    kind: ClassVar[str] = "figure"
    name: str
    title: str
    alt: str
    """What it shows, for who cannot see it."""
    figure: Figure
    svg: str
    """Fit to stand in a page."""
    folded: bool = False


@dataclass(frozen=True)
class Commands:
    """Lines for a shell."""

    kind: ClassVar[str] = "commands"
    name: str
    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A picture or video of a page's media; its bytes are kept apart."""

    id: str
    layer: str
    """The arm or model, or `input`."""
    frame: str
    caption: str = ""
    video: bool = False
    size: Sequence[int] | None = None
    """Width and height: with them a page does not move under its reader while pictures load."""

    @property
    def alt(self) -> str:
        return f"{self.layer}, {self.frame}" if self.layer else self.frame


@dataclass(frozen=True)
class Media:
    """Pictures by frame and layer; with two layers or more, a slider over each pair of them."""

    kind: ClassVar[str] = "media"
    name: str
    title: str
    pictures: tuple[Picture, ...]
    layers: tuple[str, ...] = ()
    """Those that the slider offers, first the two that it begins with."""
    frames: tuple[str, ...] = ()
    note: str = ""

    @property
    def slides(self) -> bool:
        return len(self.layers) > 1 and bool(self.frames)


Block = Sentences | Tabular | Drawing | Commands | Media


@dataclass
class Section:
    """A part of a page under a heading."""

    id: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    parts: list[Section] = field(default_factory=list)

    def add(self, *blocks: Block | None) -> None:
        self.blocks += [block for block in blocks if block is not None]

    def part(self, name: str, title: str) -> Section:
        """A new section in this one."""
        made = Section(f"{self.id}-{name}", title)
        self.parts.append(made)
        return made

    def walk(self) -> Iterator[Section]:
        yield self
        for part in self.parts:
            yield from part.walk()


def drawing(
    section: Section, name: str, title: str, alt: str, figure: Figure | None, folded: bool = False
) -> Drawing | None:
    """A block of a figure, None where there is none."""
    if figure is None:
        return None
    svg = inline_svg(svg_text(figure), f"{section.id}-{name}-")
    return Drawing(name, title, alt, figure, svg, folded)


def tabular(
    name: str,
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    note: str = "",
    swatches: Mapping[str, int] | None = None,
    folded: bool = False,
) -> Tabular | None:
    """A block of a table of texts, None where it has no rows; its CSV holds the same texts."""
    if not rows:
        return None
    data = tuple(dict(zip(header, row, strict=True)) for row in rows)
    table = Table(tuple(header), tuple(tuple(row) for row in rows), data)
    return Tabular(name, title, table, note, swatches or {}, folded)


def inline_svg(text: str, prefix: str) -> str:
    """An SVG file as an element of a page: no prolog, ids of its own, hidden from readers, who have
    the figure's words."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)

    def own(tag: re.Match[str]) -> str:
        found = re.sub(r'(\bid=")', rf"\g<1>{prefix}", tag[0])
        found = re.sub(r"(url\(#)", rf"\g<1>{prefix}", found)
        return re.sub(r'(href="#)', rf"\g<1>{prefix}", found)

    text = re.sub(r"<[^>]*>", own, text)
    head, _, rest = text.partition(">")
    size = re.search(r'viewBox="([^"]*)"', head)
    view = size[1] if size else "0 0 576 400"
    xmlns = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {xmlns} viewBox="{view}" aria-hidden="true" focusable="false">{rest}'
