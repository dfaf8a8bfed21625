"""The figures of a population: its family tree, every member's curves, the schedule of the best.

RUN/figures/family-tree.svg   which member took over whose weights, and what the best came from
            curves.svg        of the best and of all members, broken where weights were taken over
            schedule.svg      the hyperparameters with which the best's final weights were trained

The original has the curves as its figures 10 and 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.errors import UserError, WorkFailed
from triptych.journal import read_events
from triptych.population.lineage import FILE, Lineage, Point, read_lineage
from triptych.population.member import MEMBERS
from triptych.report.style import BLUE, COLOURS, GREY, SOFT, VERMILLION, WIDTH, save_svg, styled
from triptych.run import METRICS, read_result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FOLDER = "figures"
FIGURES = ("family-tree", "curves", "schedule")
LINES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1.2)))
GRID = "#E5E5E5"
FAINT = "#C9C9C9"
FEW = 40
"""Up to here every score has a mark of its own."""

Pieces = list[list[Point]]
"""Curves between takeovers."""


def write_figures(run: Path) -> list[Path]:
    """Draw a population that ended into its run folder; returns the files.

    Raises UserError where the folder is no population's, and WorkFailed where they cannot be
    written.
    """
    lineage = read_lineage(run)
    if not lineage.rounds:
        raise UserError(f"{run} has no complete round to draw yet")
    written = []
    try:
        (run / FOLDER).mkdir(exist_ok=True)
        for name, figure in figures(run, lineage).items():
            file = run / FOLDER / f"{name}.svg"
            aside = file.with_name(f".{file.name}.part")
            save_svg(figure, aside)
            aside.replace(file)
            written.append(file)
    except OSError as error:
        raise WorkFailed(f"{run / FOLDER}: cannot be written ({error.strerror})") from error
    return written


def figures(run: Path, lineage: Lineage) -> dict[str, Figure]:
    """The figures by their names, of a population with at least one complete round."""
    drawn = (
        family_tree(lineage),
        member_curves(lineage, losses(run, lineage)),
        schedule_figure(lineage),
    )
    return dict(zip(FIGURES, drawn, strict=True))


def figures_of_cell(run: Path) -> dict[str, Figure]:
    """The figures of a comparison's cell: none where it has not ended, is no population's, or
    nothing was taken over."""
    if read_result(run) is None or not (run / FILE).exists():
        return {}
    lineage = read_lineage(run)
    return figures(run, lineage) if any(past.takeovers for past in lineage.rounds) else {}


def losses(run: Path, lineage: Lineage) -> list[Pieces]:
    """Every member's training loss over epochs, broken where its weights were taken over.

    After a break the curve begins with the donor's loss at that epoch.
    """
    known = [_losses_of(run / MEMBERS / str(member)) for member in range(len(lineage.start))]
    found = []
    for member, own in enumerate(known):
        breaks = [
            (past.epoch, decision.donor)
            for past in lineage.rounds
            if (decision := past.takeover(member)) is not None
        ]
        pieces: Pieces = [[]]
        for epoch, loss in sorted(own.items()):
            while breaks and epoch > breaks[0][0]:
                at, donor = breaks.pop(0)
                pieces.append([(at, known[donor][at])] if at in known[donor] else [])
            pieces[-1].append((epoch, loss))
        found.append([piece for piece in pieces if piece])
    return found


def _losses_of(member: Path) -> dict[int, float]:
    events, _ = read_events(member / METRICS)
    return {
        event["epoch"]: event["loss"]
        for event in events
        if event["split"] == "train" and event.get("loss") is not None
    }


def family_tree(lineage: Lineage) -> Figure:
    """A row a member over epochs; an arrow from a donor to each member that took over from it.

    Weights that live on in the final best are thick and coloured; what was trained and given up is
    faint. Scores are written where a member's weights were given up, and at the end.
    """
    from matplotlib.figure import Figure

    members, rounds = len(lineage.start), lineage.rounds
    owners = lineage.owners(rounds[-1].best)
    lost = _given_up(lineage)
    below, above = 0.95, 0.4
    height = 0.36 * members + below + above
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        axes = figure.add_axes((0.115, below / height, 0.805, (height - below - above) / height))
        for number, (past, start) in enumerate(zip(rounds, _starts(lineage), strict=True)):
            for member in range(members):
                ancestor = owners[number] == member
                colour = VERMILLION if ancestor else FAINT if (number, member) in lost else BLUE
                axes.plot(
                    [start, past.epoch],
                    [member, member],
                    color=colour,
                    linewidth=3.6 if ancestor else 1.9,
                    solid_capstyle="butt",
                    zorder=3 if ancestor else 2,
                )
            for decision in past.takeovers:
                ancestor = (
                    number + 1 < len(rounds)
                    and owners[number] == decision.donor
                    and owners[number + 1] == decision.member
                )
                axes.annotate(
                    "",
                    (past.epoch, decision.member),
                    (past.epoch, decision.donor),
                    arrowprops={
                        "arrowstyle": "-|>",
                        "color": VERMILLION if ancestor else GREY,
                        "linewidth": 2.2 if ancestor else 0.9,
                        "shrinkA": 0,
                        "shrinkB": 2,
                    },
                    zorder=4 if ancestor else 1,
                )
                axes.plot(
                    past.epoch,
                    decision.member,
                    "x" if decision.reason == "diverged" else "|",
                    color=SOFT,
                    markersize=9,
                    zorder=5,
                )
        for member, outcome in enumerate(rounds[-1].outcomes):
            best = member == rounds[-1].best
            text = "diverged" if outcome.score is None else f"{outcome.score:.3f}"
            axes.text(
                1.012 * rounds[-1].epoch,
                member,
                text,
                va="center",
                fontsize=9,
                fontweight="bold" if best else "normal",
                color=VERMILLION if best else SOFT,
            )
        axes.set_yticks(range(members), [f"member {member}" for member in range(members)])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(members - 0.5, -0.5)
        _epochs(axes, rounds[-1].epoch)
        axes.spines["left"].set_visible(False)
        axes.set_title(
            f"who took over whose weights; at the end: {score_name(lineage)}", loc="left"
        )
        figure.text(
            0.5,
            0.1 / height,
            "thick: weights that the best member's came from; blue: others that live at the end;\n"
            "pale: given up later; arrow: weights go from donor to member; ×: it had diverged",
            ha="center",
            fontsize=9,
            color=SOFT,
        )
    return figure


def _starts(lineage: Lineage) -> list[int]:
    return [0, *(past.epoch for past in lineage.rounds[:-1])]


def _given_up(lineage: Lineage) -> set[tuple[int, int]]:
    """(round from 0, member) of intervals whose weights no member has at the end."""
    alive = set[tuple[int, int]]()
    for member in range(len(lineage.start)):
        alive |= set(enumerate(lineage.owners(member)))
    every = {(n, m) for n in range(len(lineage.rounds)) for m in range(len(lineage.start))}
    return every - alive


def member_curves(lineage: Lineage, loss: Sequence[Pieces]) -> Figure:
    """Score on validation and training loss: of the best member, and of all, with their breaks."""
    from matplotlib.figure import Figure

    best = lineage.rounds[-1].best
    members = range(len(lineage.start))
    score = [lineage.curves(member) for member in members]
    columns = min(len(members), 8)
    foot = 0.45 + 0.22 * -(-len(members) // columns)
    below, above, gap, height = foot + 0.5, 0.35, 0.75, 6.4 + foot
    panel = (height - below - above - gap) / 2
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        handles: list[Any] = []
        for row, (whose, shown) in enumerate(
            ((f"the best, member {best}", [best]), ("all members", list(members)))
        ):
            bottom = below + (1 - row) * (panel + gap)
            for left, what, curves in (
                (0.08, f"{score_name(lineage)} (fraction)", score),
                (0.58, "training loss (nats)", loss),
            ):
                axes = figure.add_axes((left, bottom / height, 0.405, panel / height))
                drawn = [_broken(axes, curves[member], member) for member in shown]
                _epochs(axes, lineage.rounds[-1].epoch)
                axes.grid(True, color=GRID, linewidth=0.8)
                axes.set_axisbelow(True)
                axes.set_title(f"{whose}: {what}", loc="left", fontsize=10)
                handles = drawn
        figure.legend(
            handles,
            [f"{member}" for member in members],
            title="member",
            loc="upper center",
            bbox_to_anchor=(0.5, (foot + 0.1) / height),
            ncols=columns,
            handlelength=2.0,
            columnspacing=1.2,
            borderpad=0,
        )
        figure.text(
            0.5,
            0.06 / height,
            "a line breaks where weights were taken over (×), and goes on from the donor's (○)",
            ha="center",
            fontsize=9,
            color=SOFT,
        )
    return figure


def _broken(axes: Axes, pieces: Pieces, member: int) -> Any:
    """Draw one member's curves; returns a line for the legend."""
    colour, line = COLOURS[member % len(COLOURS)], LINES[member // len(COLOURS) % len(LINES)]
    style: dict[str, Any] = {"color": colour, "linestyle": line, "linewidth": 1.5}
    marked = sum(map(len, pieces)) <= FEW
    for index, piece in enumerate(pieces):
        epochs, values = zip(*piece, strict=True)
        axes.plot(epochs, values, marker="o" if marked else None, markersize=2.6, **style)
        if index:
            axes.plot(epochs[0], values[0], "o", color=colour, markersize=6, fillstyle="none")
        if index < len(pieces) - 1:
            axes.plot(epochs[-1], values[-1], "x", color=colour, markersize=6)
    (handle,) = axes.plot([], [], **style)
    return handle


def schedule_figure(lineage: Lineage) -> Figure:
    """Each hyperparameter over epochs: of the weights of the final best, before all members'."""
    from matplotlib.figure import Figure

    names = list(lineage.start[0])
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    below, above, gap, panel = 0.95, 0.35, 0.75, 1.6
    height = below + above + rows * panel + (rows - 1) * gap
    width = (0.905 - 0.075 * (columns - 1)) / columns
    best = lineage.rounds[-1].best
    with styled():
        figure = Figure(figsize=(WIDTH, height))
        for index, name in enumerate(names):
            row, column = divmod(index, columns)
            bottom = below + (rows - 1 - row) * (panel + gap)
            left = 0.075 + column * (width + 0.075)
            axes = figure.add_axes((left, bottom / height, width, panel / height))
            for member in range(len(lineage.start)):
                own = [lineage.hypers(past.number)[member][name] for past in lineage.rounds]
                _steps(axes, lineage, own, color=FAINT, linewidth=1.0)
            owners = lineage.owners(best)
            taken = [
                lineage.hypers(past.number)[owner][name]
                for past, owner in zip(lineage.rounds, owners, strict=True)
            ]
            _steps(axes, lineage, taken, color=VERMILLION, linewidth=2.2, zorder=3)
            for past, (before, after) in zip(lineage.rounds, pairwise(owners), strict=False):
                if before != after:
                    axes.axvline(past.epoch, color=VERMILLION, linewidth=0.8, linestyle=(0, (1, 2)))
            _value_axis(
                axes, [h[name] for past in lineage.rounds for h in lineage.hypers(past.number)]
            )
            _epochs(axes, lineage.rounds[-1].epoch, label=row == rows - 1)
            axes.set_title(name, loc="left", fontsize=10)
        figure.text(
            0.5,
            0.08 / height,
            f"thick: what the weights of the final best, member {best}, were trained with; "
            "pale: all members;\ndotted: the weights went on in another member",
            ha="center",
            fontsize=9,
            color=SOFT,
        )
    return figure


def _steps(axes: Axes, lineage: Lineage, values: Sequence[float], **style: Any) -> None:
    edges = [0, *(past.epoch for past in lineage.rounds)]
    axes.stairs(values, edges, baseline=None, **style)


def _value_axis(axes: Axes, values: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

    places: FixedLocator | LogLocator | None = None
    if all(float(value).is_integer() for value in values):
        places = FixedLocator(sorted(set(values)))  # a choice: its values and nothing between
    elif min(values) > 0 and 10 * min(values) < max(values) < 0.1:
        places = LogLocator(subs=(1.0, 3.0))  # a rate; shares, which are larger, stay linear
    if places is not None:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(places)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="y", labelsize=8)


def _epochs(axes: Axes, last: int, label: bool = True) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(0, 1.01 * last)
    if label:
        axes.set_xlabel("epoch")


def score_name(lineage: Lineage) -> str:
    """What members were ranked by, as far as the records name it."""
    outcomes = [o for past in lineage.rounds for o in past.outcomes if o.score is not None]
    names = outcomes[0].scores if outcomes else {}
    for name in names:
        if all(outcome.scores.get(name) == outcome.score for outcome in outcomes):
            return f"{name} on validation"
    return "score"
