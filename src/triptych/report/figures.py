"""The figures of a comparison: its verdict (`verdict_figure`), and curves over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from triptych.compare.curves import curve_metric, evaluation_split
from triptych.report.crossings import NOTE, crossings_of, draw_crossings
from triptych.report.forest import verdict_figure
from triptych.report.history import LOSS, TRAIN, Point, read_history, thinned
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
ALIKE = 0.01
"""Up to here, as a share, arms count as having equally many samples in an epoch."""


def curves(folder: Path, verdict: Verdict, metric_on: str = "val") -> Figure | None:
    """The metric on a split, the loss there and the training loss, over epochs; None where no epoch
    is over.

    Each arm's line is the mean over the seeds that came as far, the band reaches from the lowest
    to the highest seed, and a cross marks where a seed diverged. Without any score on `metric_on`
    the first other split that has scores is shown, and the loss has a panel where there is one.
    Where the arms' epochs are not equally long, samples stand in their place. Thin lines are the
    scores at which samples are compared, with a ring where each arm comes to them.
    """
    return draw_curves(thinned(read_history(folder, verdict), MOST_POINTS), verdict, metric_on)


def draw_curves(
    points: Sequence[Point],
    verdict: Verdict,
    metric_on: str = "val",
    places: Mapping[str, int] | None = None,
) -> Figure | None:
    """The figure of `curves` from points that were read before.

    `places` numbers the arms for their colours and kinds of line, so that an arm looks alike in
    several figures; by default they are counted as they come.
    """
    from matplotlib.figure import Figure

    if not points:
        return None
    split = evaluation_split(points, metric_on) or metric_on
    metric = curve_metric(verdict["metric"])
    arms = arms_of(verdict)
    looks = places or {arm: index for index, arm in enumerate(arms)}
    names = [_name(verdict, arm) for arm in arms]
    columns = _columns(names)
    by_samples = not _epochs_alike(points)
    crossings = crossings_of(verdict, split, by_samples)
    notes = [_note(verdict), *([NOTE] if crossings else [])]
    panels = [
        (f"{metric} on {split} ({unit(metric)})", [(split, metric)]),
        ("training loss", [(TRAIN, LOSS)]),
    ]
    if metric != LOSS and any((p.split, p.metric) == (split, LOSS) for p in points):
        panels.append((f"loss on {split}", [(split, LOSS)]))
    # Each line of the notes, then the legend.
    foot = 0.1 + 0.16 * (1 + len(notes)) + 0.216 * -(-len(names) // columns)
    below, above, height = foot + 0.5, 0.35, (4.0 if len(panels) == 2 else 4.8) + foot
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        axes = [figure.add_axes(each) for each in _places(len(panels), below, above, height)]
        lines = []
        for one, (title, of) in zip(axes, panels, strict=True):
            shown = [p for p in points if (p.split, p.metric) in of and p.score is not None]
            lines.append([_curve(one, shown, verdict, arm, looks[arm], by_samples) for arm in arms])
            _finish(one, title, bool(shown), points, by_samples)
        draw_crossings(axes[0], crossings, {arm: colour_of(looks[arm]) for arm in arms})
        if len(panels) == 3:  # one label below is enough for two panels
            axes[1].set_xlabel("")
            axes[1].tick_params(labelbottom=False)
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
        for index, text in enumerate(reversed(notes)):
            place = (0.1 + 0.16 * index) / height
            figure.text(0.5, place, text, ha="center", fontsize=9, color=SOFT)
    return figure


def _places(
    panels: int, below: float, above: float, height: float
) -> list[tuple[float, float, float, float]]:
    """Where panels lie: two side by side, or the first beside two, one above the other."""
    foot, tall = below / height, (height - below - above) / height
    if panels == 2:
        return [(left, foot, 0.405, tall) for left in (0.08, 0.58)]
    gap = 0.4 / height
    half = (tall - gap) / 2
    return [
        (0.08, foot, 0.5, tall),
        (0.67, foot + half + gap, 0.315, half),
        (0.67, foot, 0.315, half),
    ]


def _epochs_alike(points: Sequence[Point]) -> bool:
    """Whether all arms have as many samples in an epoch, as far as it is known of all of them."""
    rates = [p.samples / p.epoch for p in points if p.samples is not None and p.epoch]
    known = {p.arm for p in points if p.samples is not None}
    if not rates or known != {p.arm for p in points}:
        return True
    return max(rates) <= (1 + ALIKE) * min(rates)


def _columns(names: Sequence[str]) -> int:
    """How many columns of a legend fit."""
    letter, line = 0.088, 0.85
    fit = int(WIDTH / (letter * max(map(len, names)) + line))
    return max(1, min(len(names), fit, 4))


def colour_of(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def line_of(place: int) -> Any:
    """From the ninth arm on a colour comes again, with another kind of line."""
    return LINES[(place + 3 * (place // len(COLOURS))) % len(LINES)]


def _curve(
    axes: Axes, shown: Sequence[Point], verdict: Verdict, arm: str, index: int, by_samples: bool
) -> Any:
    """Draw one arm; returns its line for the legend."""
    colour, line = colour_of(index), line_of(index)
    own = [p for p in shown if p.arm == arm and not (by_samples and p.samples is None)]
    epochs = sorted({p.epoch for p in own})
    at = [float(np.mean([_at(p, by_samples) for p in own if p.epoch == e])) for e in epochs]
    scores = [[p.score for p in own if p.epoch == e and p.score is not None] for e in epochs]
    ends = [min(each) for each in scores], [max(each) for each in scores]
    few = len(epochs) == 1 or len({point.epoch for point in shown}) <= FEW_EPOCHS
    axes.fill_between(at, *ends, color=colour, alpha=0.15, linewidth=0)
    if few:  # a band over one epoch has no width
        axes.vlines(at, *ends, color=colour, alpha=0.5, linewidth=1.2)
    (handle,) = axes.plot(
        at,
        [float(np.mean(each)) for each in scores],
        color=colour,
        linestyle=line,
        marker=MARKERS[index % len(MARKERS)] if few and own else None,
        markersize=5,
    )
    for seed, state in sorted(verdict["arms"][arm]["states"].items()):
        last = [p for p in own if str(p.seed) == seed][-1:]
        if state == "diverged" and last and last[0].score is not None:
            place = (_at(last[0], by_samples), last[0].score)
            axes.plot(*place, "x", color=colour, markersize=9, markeredgewidth=2.2)
    return handle


def _at(point: Point, by_samples: bool) -> float:
    return float(point.samples or 0) if by_samples else point.epoch


def _finish(axes: Axes, title: str, shown: bool, points: Sequence[Point], by_samples: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(title, loc="left")
    axes.set_xlabel("samples trained on" if by_samples else "epoch")
    narrow = 4 if by_samples else 6
    axes.xaxis.set_major_locator(MaxNLocator(narrow, steps=[1, 2, 5, 10], integer=True))
    if by_samples:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(0, 1.04 * max(_at(point, by_samples) for point in points))
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
