"""The verdict as a forest plot."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triptych.report.style import BLUE, GREEN, GREY, SOFT, VERMILLION, WIDTH, styled
from triptych.report.tables import Verdict, is_fixed
from triptych.report.words import MINUS, interval, percent, signed, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OF_VERDICT = {"better": BLUE, "worse": VERMILLION, "equivalent": GREEN, "undecided": "#555555"}

LEFT, RIGHT, EDGE = 0.32, 0.69, 0.025
"""Where names end, where words begin and what stays empty, in shares of the width."""
LETTERS = 31
"""That fit beside the plot, on either side."""
ABOVE = 106
"""Letters that fit across the whole figure."""
LINE = 0.17
"""Height of a line of text, in inches."""
FEW_GROUPS = 8
"""Up to here every group has a line of its own."""


@dataclass(frozen=True)
class Row:
    """One line of the plot: a pair, or one group of fixed predictions."""

    name: str
    word: str
    """The verdict, in bold; may be empty."""
    words: tuple[str, ...] = ()
    """What stands below it."""
    colour: str = SOFT
    difference: float | None = None
    ends: tuple[float, float] | None = None
    """The pair's own interval."""
    wide_ends: tuple[float, float] | None = None
    """The interval that holds for all pairs together."""
    dots: tuple[float, ...] = ()
    """Groups that have no line of their own."""
    minor: bool = False
    """A group, or what is exploratory: hollow and small."""
    parted: bool = False
    """Whether a line parts it from the row above."""

    @property
    def lines(self) -> list[str]:
        return [line for part in self.words for line in textwrap.wrap(part, LETTERS)]

    @property
    def text_height(self) -> float:
        """Inches of the words at the right, which are never less than two lines."""
        return LINE * max(len(self.lines) + bool(self.word), 1 if self.minor else 2)

    def names(self, above: bool) -> list[str]:
        """The lines of the name, beside the plot or above it."""
        parts = self.name.splitlines()
        if above and len(" ".join(parts)) <= ABOVE:
            return [" ".join(parts)]
        return [line for part in parts for line in textwrap.wrap(part, ABOVE)]

    def head(self, above: bool) -> float:
        """Inches of the name above."""
        return LINE * len(self.names(True)) + 0.06 if above and self.name else 0.0

    def height(self, above: bool) -> float:
        return self.head(above) + self.text_height + (0.2 if above else 0.16)

    @property
    def extent(self) -> list[float]:
        """Every place that the row needs on the axis."""
        one = [] if self.difference is None else [self.difference]
        return [*one, *(self.ends or ()), *(self.wide_ends or ()), *self.dots]


def verdict_figure(verdict: Verdict) -> Figure:
    """Each pair's difference with its interval, the margin shaded, the verdict in words.

    The thick line is the pair's own interval, the thin one that for all pairs together. Fixed
    predictions have a point for every group (drive). What is exploratory stands below a line.
    """
    from matplotlib.figure import Figure

    rows = _fixed_rows(verdict) if is_fixed(verdict) else _rows(verdict)
    # Names too long to stand beside the plot stand above each row.
    above = any(len(line) > LETTERS for row in rows for line in row.name.splitlines())
    left = EDGE if above else LEFT
    note = _note(verdict, rows)
    foot, top = 0.62 + LINE * len(note) + 0.1, 0.0
    inside = sum(row.height(above) for row in rows)
    height = 0.12 + inside + foot
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((left, foot / height, RIGHT - left, inside / height))
        frame(axes, limits(rows, verdict["margin"]))
        for row in rows:
            draw_ground(axes, verdict["margin"], top + row.head(above), top + row.height(above))
            draw_row(axes, row, top, above)
            top += row.height(above)
        axes.set_ylim(top, 0)
        axes.set_xlabel(_label(verdict))
        figure.text(
            0.5, 0.08 / height, "\n".join(note), ha="center", va="bottom", fontsize=9, color=SOFT
        )
    return figure


def _rows(verdict: Verdict) -> list[Row]:
    rows = [_row(pair, many=len(verdict["pairs"]) > 1) for pair in verdict["pairs"]]
    extension = verdict.get("exploratory")
    for index, pair in enumerate(extension["pairs"] if extension else []):
        rows.append(_row(pair, len(verdict["pairs"]) > 1, exploratory=True, parted=index == 0))
    return rows


def _row(pair: Verdict, many: bool = False, exploratory: bool = False, parted: bool = False) -> Row:
    seen, wide = pair["interval"], pair["adjusted_interval"] if many else None
    words = [unbroken(interval(seen)) if seen else f"no interval: {pair['reason']}"]
    if pair["new_items"]:
        words.append(f"new items: {pair['new_items']['new_items']}")
    words += [warning for warning in pair["warnings"] if "diverged" in warning]
    return Row(
        name=f"{pair['arm']}\nagainst {pair['baseline']}",
        word=f"exploratory: {pair['verdict']}" if exploratory else pair["verdict"],
        words=tuple(words),
        colour=OF_VERDICT[pair["verdict"]],
        difference=seen["difference"] if seen else None,
        ends=(seen["low"], seen["high"]) if seen else None,
        wide_ends=(wide["low"], wide["high"]) if wide else None,
        minor=exploratory,
        parted=parted,
    )


def _fixed_rows(verdict: Verdict) -> list[Row]:
    rows: list[Row] = []
    for pair in verdict["pairs"]:
        seen, groups = pair["interval"], pair["by_group"] or {}
        few = len(groups) <= FEW_GROUPS
        rows.append(
            Row(
                name=f"{pair['arm']}\nagainst {pair['baseline']}",
                word=signed(pair["difference"]),
                words=(*([unbroken(interval(seen))] if seen else []), pair["sentence"]),
                colour=BLUE,
                difference=pair["difference"],
                ends=(seen["low"], seen["high"]) if seen else None,
                dots=() if few else tuple(sorted(groups.values())),
                parted=bool(rows),
            )
        )
        if few:
            rows += [
                Row("", "", (f"{name}: {signed(value)}",), BLUE, value, minor=True)
                for name, value in sorted(groups.items())
            ]
    return rows


def frame(axes: Axes, ends: tuple[float, float]) -> None:
    """Scale and axis from the lowest to the highest place that is to be seen."""
    low, high = ends
    room = 0.06 * (high - low)
    axes.set_xlim(low - room, high + room)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter(lambda value, _: _tick(value))
    axes.tick_params(labelsize=9)


def _tick(value: float) -> str:
    return f"{value:+.3g}".replace("-", MINUS) if value else "0"


def limits(rows: Sequence[Row], margin: float) -> tuple[float, float]:
    """What the axis shows: all points and the margin, and intervals unless one is far the widest.

    An interval that reaches more than three times as far as half of them would leave the others
    no room; its ends are cut off and drawn as arrows.
    """
    points = [place for row in rows for place in (row.difference, *row.dots) if place is not None]
    reaches = sorted(max(map(abs, row.extent)) for row in rows if row.ends)
    farthest = 3 * max(reaches[(len(reaches) - 1) // 2], margin) if reaches else 0.0
    ends = [max(-farthest, min(farthest, place)) for row in rows for place in row.extent]
    places = [*points, *ends, -1.2 * margin, 1.2 * margin]
    return min(places), max(places)


def draw_ground(axes: Axes, margin: float, top: float, bottom: float) -> None:
    """The margin and the line of no difference behind one row; a name above stays clear.

    A margin of 0 is none: nothing is shaded.
    """
    if margin:
        axes.fill_between([-margin, margin], top, bottom, color="#E8E8E8", linewidth=0, zorder=0)
    axes.plot([0, 0], [top, bottom], color=GREY, linewidth=0.9, zorder=1)


def draw_row(axes: Axes, row: Row, top: float, above: bool) -> None:
    """Name, marks and words of a row whose upper edge is `top` inches below that of the axes.

    `above` puts the name above the marks and not beside them.
    """
    middle = top + row.head(above) + (row.height(above) - row.head(above)) / 2
    beside = axes.get_yaxis_transform()
    begin, width = (EDGE, RIGHT - EDGE) if above else (LEFT, RIGHT - LEFT)
    if row.parted:
        ends = ((EDGE - begin) / width, (1 - EDGE - begin) / width)
        axes.plot(ends, [top, top], color="#BBBBBB", lw=0.8, transform=beside, clip_on=False)
    names = row.names(above)
    for index, line in enumerate(names):
        axes.text(
            0.0 if above else -0.04,
            top + 0.06 + LINE * (index + 0.5)
            if above
            else middle + LINE * (index - (len(names) - 1) / 2),
            line,
            transform=beside,
            ha="left" if above else "right",
            va="center",
            fontsize=9 if row.minor else 10,
        )
    first = middle - LINE * len(row.lines) / 2
    if row.word:
        axes.text(
            1.0 + 0.016 / width,
            first,
            row.word,
            transform=beside,
            va="center",
            color=row.colour,
            weight="bold",
            style="italic" if row.minor else "normal",
        )
    for index, line in enumerate(row.lines, 1):
        place = first + LINE * (index if row.word else index - 0.5)
        axes.text(
            1.0 + 0.016 / width, place, line, transform=beside, va="center", fontsize=9, color=SOFT
        )
    _draw_marks(axes, row, middle)


def _draw_marks(axes: Axes, row: Row, middle: float) -> None:
    low, high = axes.get_xlim()
    for ends, thickness in ((row.wide_ends, 1.1), (row.ends, 2.2 if row.minor else 3.6)):
        if ends is None:
            continue
        inside = [max(low, min(high, end)) for end in ends]
        axes.plot(
            inside, [middle] * 2, color=row.colour, linewidth=thickness, solid_capstyle="butt"
        )
        for end, place, arrow in zip(ends, inside, "<>", strict=True):
            if end != place:
                axes.plot([place], [middle], arrow, color=row.colour, markersize=7, clip_on=False)
    if row.dots:
        axes.plot(row.dots, [middle + LINE] * len(row.dots), "o", **_hollow(row.colour, 5))
    if row.difference is not None:
        look = _hollow(row.colour, 6) if row.minor else {"color": row.colour, "markersize": 8}
        axes.plot([row.difference], [middle], "o", zorder=3, **look)


def _hollow(colour: str, size: float) -> dict[str, Any]:
    return {
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 1.4,
        "markersize": size,
    }


def _label(verdict: Verdict) -> str:
    metric = verdict["metric"]
    which = "higher" if verdict["higher_is_better"] else "lower"
    return f"{metric}, arm minus baseline ({unit(metric)}; {which} is better)"


def _note(verdict: Verdict, rows: Sequence[Row]) -> list[str]:
    """What the marks mean, in lines."""
    parts = [f"shaded: within the margin of {verdict['margin']:g}, too small to matter"]
    if is_fixed(verdict):
        if any(row.minor or row.dots for row in rows):
            parts.append("filled: mean over groups; hollow: one group")
        return parts
    levels = {pair["interval"]["level"] for pair in verdict["pairs"] if pair["interval"]}
    if levels:
        parts.append(f"thick: interval of the pair alone ({unbroken(percent(min(levels)))})")
    if any(row.wide_ends for row in rows):
        parts.append(f"thin: the interval that holds for all {len(verdict['pairs'])} pairs at once")
    if "exploratory" in verdict:
        seeds = ", ".join(map(str, verdict["exploratory"]["seeds"]))
        parts.append(f"hollow: exploratory, with added seeds ({seeds})")
    return ["; ".join(parts[i : i + 2]) for i in range(0, len(parts), 2)]


def unbroken(text: str) -> str:
    """Numbers that stay with their unit when lines are wrapped."""
    return text.replace(" %", "\u00a0%")
