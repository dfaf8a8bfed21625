"""The scores beside the primary metric as a forest plot, a panel for each score."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from triptych.report.forest import (
    EDGE,
    LEFT,
    LETTERS,
    LINE,
    RIGHT,
    Row,
    draw_ground,
    draw_row,
    frame,
    limits,
    unbroken,
)
from triptych.report.style import SOFT, WIDTH, styled
from triptych.report.tables import Verdict, is_fixed
from triptych.report.words import interval, signed, unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE, TICKS = 0.34, 0.38
"""Inches above and below the rows of a panel."""
WIDE = 100
"""Letters of a line of small text across the figure."""


def beside_figure(verdict: Verdict) -> Figure | None:
    """Each score's differences with their 95 % intervals; None where there are no such scores.

    No margin is shaded, no verdict is written and one colour serves all: nothing is judged here.
    Panels of one unit have one scale. Hollow points are groups (drives).
    """
    from matplotlib.figure import Figure

    if "beside" not in verdict:
        return None
    panels = {name: _rows(verdict, name) for name in verdict["beside"]["scores"]}
    rows = [row for panel in panels.values() for row in panel]
    above = any(len(line) > LETTERS for row in rows for line in row.name.splitlines())
    left = EDGE if above else LEFT
    note = _note(verdict, rows)
    foot = 0.3 + LINE * len(note) + 0.1
    insides = [sum(row.height(above) for row in panel) for panel in panels.values()]
    height = sum(inside + TITLE + TICKS for inside in insides) + foot
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        bottom = height
        for (name, panel), inside in zip(panels.items(), insides, strict=True):
            bottom -= TITLE + inside
            place = (left, bottom / height, RIGHT - left, inside / height)
            axes = figure.add_axes(place)
            alike = [r for other in panels for r in panels[other] if unit(other) == unit(name)]
            frame(axes, _ends(alike))
            top = 0.0
            for row in panel:
                draw_ground(axes, 0.0, top + row.head(above), top + row.height(above))
                draw_row(axes, row, top, above)
                top += row.height(above)
            axes.set_ylim(top, 0)
            figure.text(
                EDGE,
                (bottom + inside + 0.08) / height,
                f"{name} ({unit(name)})",
                weight="bold",
                fontsize=11,
            )
            bottom -= TICKS
        axes.set_xlabel("arm minus baseline")
        figure.text(
            0.5, 0.08 / height, "\n".join(note), ha="center", va="bottom", fontsize=9, color=SOFT
        )
    return figure


def _rows(verdict: Verdict, name: str) -> list[Row]:
    rows = [_row(verdict, pair, name) for pair in verdict["pairs"]]
    extension = verdict.get("exploratory")
    for index, pair in enumerate(extension["pairs"] if extension else []):
        rows.append(_row(verdict, pair, name, exploratory=True, parted=index == 0))
    return rows


def _row(
    verdict: Verdict, pair: Verdict, name: str, exploratory: bool = False, parted: bool = False
) -> Row:
    (found,) = [each for each in pair["beside"] if each["score"] == name]
    seen = found["interval"]
    words = [unbroken(interval(seen))] if seen else []
    words += [found["reason"]] if found["reason"] else []
    return Row(
        name=f"{pair['arm']}\nagainst {pair['baseline']}",
        word="" if found["difference"] is None else signed(found["difference"]),
        words=tuple(words),
        colour=SOFT,
        difference=found["difference"],
        ends=(seen["low"], seen["high"]) if seen else None,
        dots=tuple(sorted((found["by_group"] or {}).values())),
        minor=exploratory,
        parted=parted,
    )


def _ends(rows: list[Row]) -> tuple[float, float]:
    low, high = limits(rows, 0.0)
    return (low, high) if low < high else (-0.01, 0.01)


def _note(verdict: Verdict, rows: list[Row]) -> list[str]:
    """What the figure is, and what its marks mean, in lines."""
    parts = []
    if any(row.ends for row in rows):
        parts.append("line: interval at 95 %")
    if any(row.dots for row in rows):
        parts.append("small and hollow: one group (drive)")
    if is_fixed(verdict) and any(row.dots for row in rows):
        parts.append("filled: mean over groups")
    if "exploratory" in verdict:
        seeds = ", ".join(map(str, verdict["exploratory"]["seeds"]))
        parts.append(f"below the line: with added seeds ({seeds})")
    about = verdict["beside"]
    texts = ["; ".join(parts), f"{about['label']}; {about['note']}"]
    return [line for text in texts for line in textwrap.wrap(unbroken(text), WIDE)]
