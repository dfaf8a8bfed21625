"""How every figure looks, and how it is written.

matplotlib is imported where it is needed, without pyplot and so without global state. Equal input
gives equal bytes: SVG ids are salted alike and no file holds a date.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 8.0
"""Inches: at 100 dots an inch the 800 pixels that a page gives a figure."""

# Okabe and Ito, "Color universal design" (2008), without their yellow, which is lost on white.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
BLACK, ORANGE, SKY, GREY = "#000000", "#E69F00", "#56B4E9", "#757575"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, BLACK, ORANGE, SKY, GREY)
SOFT = "#444444"
"""Of text that explains."""

_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "lines.linewidth": 1.9,
    "lines.dash_capstyle": "butt",
    "text.parse_math": False,  # a name may hold dollar signs
    "svg.fonttype": "none",
    "svg.hashsalt": "triptych",
}


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib's own defaults and our few, whatever the user's settings; restored afterwards."""
    from matplotlib import style

    with style.context(_STYLE, after_reset=True):
        yield


def save_svg(figure: Figure, file: Path) -> None:
    """Write a figure as SVG whose texts are texts."""
    with styled():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def svg_text(figure: Figure) -> str:
    """A figure as the text of an SVG file."""
    stream = io.BytesIO()
    with styled():
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue().decode()


def save_png(figure: Figure, file: Path, dpi: int = 100) -> None:
    """Write a figure as PNG, 800 pixels wide unless told otherwise."""
    with styled():
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
