"""Accuracy against speed: which models are worth their time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.errors import WorkFailed
from triptych.report.style import BLUE, GREY, SOFT, VERMILLION, WIDTH, save_png, save_svg, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT = 5.2
LINE = 0.042
"""Height of a name, as a share of the plot's."""
GAP, MARK, LETTER = 0.017, 0.008, 0.0115
"""From a point to its name, half a mark's width and a letter's, as shares of the plot's."""

Point = Mapping[str, Any]


def write_bench(record: Mapping[str, Any], out: Path) -> list[Path]:
    """Write what `bench` found into the folder `out`: `bench.json`, and with scores the figure.

    The figure is `accuracy-against-speed`, as SVG and PNG. Every file appears whole or not at
    all. Raises WorkFailed where one cannot be written.
    """
    written = [out / "bench.json"]
    try:
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        _whole(written[0], lambda part: part.write_text(text, encoding="utf-8"))
        figure = speed_figure(record)
        if figure is not None:
            for ending, save in (("svg", save_svg), ("png", save_png)):
                file = out / f"accuracy-against-speed.{ending}"
                _whole(file, lambda part, save=save: save(figure, part))
                written.append(file)
    except OSError as error:
        raise WorkFailed(f"--out {out}: cannot be written ({error.strerror})") from error
    return written


def speed_figure(record: Mapping[str, Any]) -> Figure | None:
    """Scores over frames per second of a bench record's points; None where there are none.

    The Pareto front is joined by steps: what lies below and left of it is beaten in both. Hollow
    marks are scores that are claimed, of other data than the front's, or by other rules.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    points: Sequence[Point] = record["points"]
    if not points:
        return None
    with styled():
        figure = Figure(figsize=(WIDTH, HEIGHT))
        axes = figure.add_axes((0.085, 0.225, 0.895, 0.725))
        front = sorted(
            (point for point in points if point["on_front"]),
            key=lambda point: float(point["frames_per_second"]),
        )
        speeds = [float(point["frames_per_second"]) for point in points]
        scores = [float(point["score"]) for point in points]
        axes.set_xscale("log")
        # Room for the names at the right.
        axes.set_xlim(min(speeds) / 1.3, 1.8 * max(speeds) * (max(speeds) / min(speeds)) ** 0.15)
        margin = max(0.04, 0.12 * (max(scores) - min(scores)))
        axes.set_ylim(min(scores) - margin, max(scores) + margin)
        xs = [point["frames_per_second"] for point in front]
        ys = [point["score"] for point in front]
        # Left of its slowest point the front goes on level, right of its fastest it falls.
        axes.step(
            [axes.get_xlim()[0], *xs, xs[-1]], [ys[0], *ys, axes.get_ylim()[0]],
            where="pre", color=BLUE, linewidth=1.2, alpha=0.6, zorder=1,
        )  # fmt: skip
        for point in points:
            _mark(axes, point, front[0])
        _names(axes, points)
        _plain_numbers(axes)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=""))
        axes.set_ylabel(f"{record['metric']} (%)")
        axes.set_xlabel("frames per second (log scale)")
        axes.set_title(f"Accuracy against speed, {record['size']}", loc="left")
        axes.grid(True, color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
        note = "\n".join(notes(record))
        figure.text(0.02, 0.015, note, fontsize=8, color=SOFT, va="bottom", linespacing=1.35)
    return figure


def notes(record: Mapping[str, Any]) -> list[str]:
    """What one must know to read the figure, a line each."""
    points: Sequence[Point] = record["points"]
    main = next(point for point in points if point["on_front"])
    lines = [f"speed: {record['processor']}, {record['cores']} cores, each on its fastest runtime"]
    how = "claimed by the authors" if main["claimed"] else "measured"
    sizes = sorted({str(p["score_size"]) for p in points if p["score_size"] and _alike(p, main)})
    other = [size for size in sizes if size != record["size"]]
    at = f", frames resized to {', '.join(other)}, not to {record['size']}" if other else ""
    lines.append(f"{record['metric']}: {how} on {main['on']}{at}; blue: Pareto front")
    hollow = sorted({_whose(point) for point in points if not _alike(point, main)})
    if hollow:
        lines.append(f"hollow: {'; '.join(hollow)}, not comparable with the rest")
    return lines


def _alike(point: Point, main: Point) -> bool:
    return (point["claimed"], point["on"]) == (main["claimed"], main["on"])


def _whose(point: Point) -> str:
    return f"{'claimed' if point['claimed'] else 'measured'} on {point['on']}"


def _mark(axes: Axes, point: Point, main: Point) -> None:
    colour = BLUE if point["on_front"] else GREY
    if not _alike(point, main):
        colour = VERMILLION
    axes.plot(
        point["frames_per_second"],
        point["score"],
        "o",
        markersize=7,
        color=colour,
        markerfacecolor=colour if _alike(point, main) else "white",
        zorder=3,
    )


def _names(axes: Axes, points: Sequence[Point]) -> None:
    """Each point's name beside it, where it lies on no mark and on no other name."""
    shown = axes.transData + axes.transAxes.inverted()
    places = [shown.transform((point["frames_per_second"], point["score"])) for point in points]
    taken = [(x - MARK, x + MARK, y) for x, y in places]
    for point, (x, y) in zip(points, places, strict=True):
        name = str(point["model"])
        length = LETTER * len(name)
        right, left = x + GAP, x - GAP - length
        steps = [step * LINE / 2 for step in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5)]
        choices = [(begin, y + step) for step in steps for begin in (right, left)]
        fitting = [
            (begin, height)
            for begin, height in choices
            if begin > 0 and begin + length < 1 and LINE / 2 < height < 1 - LINE / 2
        ]
        free = [
            (begin, height)
            for begin, height in fitting
            if not any(
                begin < end and start < begin + length and abs(height - other) < LINE
                for start, end, other in taken
                if (start, end, other) != (x - MARK, x + MARK, y)
            )
        ]
        begin, height = (free or fitting or choices)[0]
        taken.append((begin, begin + length, height))
        axes.annotate(
            name,
            (point["frames_per_second"], point["score"]),
            xytext=(begin, height),
            textcoords="axes fraction",
            va="center",
            fontsize=9,
        )


def _plain_numbers(axes: Axes) -> None:
    """On the log axis, between the powers of ten too where it spans less than about one."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    plain = FuncFormatter(lambda value, _: f"{value:g}")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_formatter(plain)
    axes.xaxis.set_minor_formatter(plain if high / low < 20 else NullFormatter())


def _whole(file: Path, write: Any) -> None:
    part = file.with_name(f".{file.name}.part-{os.getpid()}")
    try:
        write(part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
