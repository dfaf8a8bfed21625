"""The figures of a comparison: its verdict (`verdict_figure`), and curves over training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from triptych.report.forest import verdict_figure
from triptych.report.history import TRAIN, Point, read_history, thinned
from triptych.report.style import COLOURS, SOFT, WIDTH, save_png, save_svg, styled
from triptych.report.tables import Verdict, arms_of
from triptych.report.words import unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves", "draw_curves", "save_png", "save_svg", "verdict_figure"]

LINES: tuple[Any, ...] = (
    *("-", "--", "-.", (0, (1, 1.2))),
    *((0, (7, 1.5, 1, 1.5, 1, 1.5)), (0, (9, 3)), (0, (2.5, 0.8)), (0, (1, 2.4))),
)
MARKERS = "osD^vP*X"

FEW_EPOCHS = 12
"""Up to here every epoch of a panel has its own mark."""
MOST_POINTS = 2_500
"""Of all curves of a figure together: enough for the eye, and a small file."""


def curves(folder: Path, verdict: Verdict, metric_on: str = "val") -> Figure | None:
    """The metric on a split, and the training loss, over epochs; None where no epoch is over.

    Each arm's line is the mean over the seeds that came as far, the band reaches from the lowest
    to the highest seed, and a cross marks where a seed diverged. Without any score on `metric_on`
    the first other split that has scores is shown.
    """
    return draw_curves(thinned(read_history(folder, verdict), MOST_POINTS), verdict, metric_on)


def draw_curves(points: Sequence[Point], verdict: Verdict, metric_on: str = "val") -> Figure | None:
    """The figure of `curves` from points that were read before."""
    from matplotlib.figure import Figure

    if not points:
        return None
    splits = list(dict.fromkeys(point.split for point in points if point.split != TRAIN))
    if metric_on not in splits and splits:
        metric_on = splits[0]
    metric = verdict["metric"].removeprefix("val_")
    arms = arms_of(verdict)
    names = [_name(verdict, arm) for arm in arms]
    columns = _columns(names)
    foot = 0.42 + 0.216 * -(-len(names) // columns)
    below, above, height = foot + 0.5, 0.35, 4.0 + foot
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        axes = [
            figure.add_axes((left, below / height, 0.405, (height - below - above) / height))
            for left in (0.08, 0.58)
        ]
        panels = (
            (f"{metric} on {metric_on} ({unit(metric)})", metric_on),
            ("training loss", TRAIN),
        )
        lines = []
        for one, (title, split) in zip(axes, panels, strict=True):
            shown = [p for p in points if p.split == split and p.score is not None]
            lines.append([_curve(one, shown, verdict, arm, i) for i, arm in enumerate(arms)])
            _finish(one, title, bool(shown), max(point.epoch for point in points))
        figure.legend(
            lines[0],
            names,
            loc="upper center",
            bbox_to_anchor=(0.5, foot / height),
            ncols=columns,
            handlelength=3.4,
            columnspacing=1.6,
            borderpad=0,
        )
        figure.text(0.5, 0.1 / height, _note(verdict), ha="center", fontsize=9, color=SOFT)
    return figure


def _columns(names: Sequence[str]) -> int:
    """How many columns of a legend fit."""
    letter, line = 0.088, 0.85
    fit = int(WIDTH / (letter * max(map(len, names)) + line))
    return max(1, min(len(names), fit, 4))


def _curve(axes: Axes, shown: Sequence[Point], verdict: Verdict, arm: str, index: int) -> Any:
    """Draw one arm; returns its line for the legend."""
    colour = COLOURS[index % len(COLOURS)]
    # From the ninth arm on a colour comes again, with another kind of line.
    line = LINES[(index + 3 * (index // len(COLOURS))) % len(LINES)]
    own = [(p.epoch, p.seed, p.score) for p in shown if p.arm == arm and p.score is not None]
    epochs = sorted({epoch for epoch, _, _ in own})
    scores = [[score for at, _, score in own if at == epoch] for epoch in epochs]
    ends = [min(each) for each in scores], [max(each) for each in scores]
    few = len(epochs) == 1 or len({point.epoch for point in shown}) <= FEW_EPOCHS
    axes.fill_between(epochs, *ends, color=colour, alpha=0.15, linewidth=0)
    if few:  # a band over one epoch has no width
        axes.vlines(epochs, *ends, color=colour, alpha=0.5, linewidth=1.2)
    (handle,) = axes.plot(
        epochs,
        [float(np.mean(each)) for each in scores],
        color=colour,
        linestyle=line,
        marker=MARKERS[index % len(MARKERS)] if few and own else None,
        markersize=5,
    )
    for seed, state in sorted(verdict["arms"][arm]["states"].items()):
        last = [(epoch, score) for epoch, of, score in own if str(of) == seed][-1:]
        if state == "diverged" and last:
            axes.plot(*last[0], "x", color=colour, markersize=9, markeredgewidth=2.2)
    return handle


def _finish(axes: Axes, title: str, shown: bool, epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(title, loc="left")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(0, 1.04 * epochs)
    axes.grid(True, color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    if not shown:
        axes.text(0.5, 0.5, "no score yet", transform=axes.transAxes, ha="center", color=SOFT)


def _name(verdict: Verdict, arm: str) -> str:
    """An arm's name with the number of its seeds that began."""
    states = list(verdict["arms"][arm]["states"].values())
    return f"{arm} (n = {sum(state != 'missing' for state in states)})"


def _note(verdict: Verdict) -> str:
    text = "line: mean over the seeds that came as far; band or bar: lowest to highest seed"
    states = [state for arm in verdict["arms"].values() for state in arm["states"].values()]
    return text + ("; ×: a seed diverged here" if "diverged" in states else "")
