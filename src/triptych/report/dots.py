"""A dot plot: a row a name, a mark an arm, small dots for its seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from triptych.report.figures import MARKERS, colour_of
from triptych.report.style import SOFT, WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""arm → name → a value a seed."""


def dot_figure(
    values: Values, names: Sequence[str], places: Mapping[str, int], label: str
) -> Figure | None:
    """Means with their seeds; None without any value. Names run from top to bottom."""
    from matplotlib.figure import Figure

    arms = list(values)
    if not any(len(values[arm].get(name, ())) for arm in arms for name in names):
        return None
    columns = max(1, min(len(arms), 4, int(WIDTH / (0.088 * max(map(len, arms)) + 0.6))))
    foot = 0.78 + 0.216 * -(-len(arms) // columns)
    row = max(0.24, 0.09 * len(arms))
    inside = row * len(names)
    height = inside + foot + 0.15
    left = min(0.4, (0.085 * max(map(len, names)) + 0.25) / WIDTH)
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((left, foot / height, 0.97 - left, inside / height))
        handles = []
        for number, arm in enumerate(arms):
            place = places.get(arm, number)
            colour, mark = colour_of(place), MARKERS[place % len(MARKERS)]
            shift = (number - (len(arms) - 1) / 2) * min(0.13, 0.7 / len(arms))
            for index, name in enumerate(names):
                seeds = [v for v in values[arm].get(name, ()) if v is not None]
                if not seeds:
                    continue
                at = [index + shift] * len(seeds)
                axes.plot(seeds, at, ".", color=colour, ms=3, alpha=0.6)
                axes.plot([min(seeds), max(seeds)], at[:1] * 2, color=colour, lw=0.9, alpha=0.6)
                axes.plot(np.mean(seeds), index + shift, mark, color=colour, ms=5.5)
            handles += axes.plot([], [], mark, color=colour, ms=6)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlabel(label)
        axes.grid(True, color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        figure.legend(
            handles, arms, loc="lower center", bbox_to_anchor=(0.5, 0.24 / height), ncols=columns
        )
        figure.text(
            0.5,
            0.06 / height,
            "large: mean over seeds; small dots and line: each seed",
            ha="center",
            fontsize=9,
            color=SOFT,
        )
    return figure
