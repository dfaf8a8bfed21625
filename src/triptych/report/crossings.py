"""Where the arms of a comparison come to the scores at which their samples are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.report.style import SOFT
from triptych.report.tables import Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SCORES = 3
"""More lines than these would hide the curves."""

NOTE = (
    "thin line: score at which samples are compared; ring: reached (mean over seeds); "
    "◁ by then; ▷ not by then"
)
MARKS = {"exact": "o", "at most": "<", "more than": ">"}


@dataclass(frozen=True)
class Crossing:
    """Where one arm comes to a score."""

    arm: str
    score: float
    at: float
    """Epochs or samples."""
    bound: str
    """As of the seeds: `more than` where one of them did not get there, `at most` where one was
    there at its first evaluation."""


def crossings_of(verdict: Verdict, split: str, by_samples: bool) -> list[Crossing]:
    """Those of the scores that the pairs' sentences name, if these are of `split` and few."""
    found: dict[tuple[str, float], Crossing] = {}
    for pair in verdict["pairs"]:
        reached = pair.get("samples_to_reach")
        if not reached or reached["shown"] is None or reached["split"] != split:
            continue
        each = reached["scores"][reached["shown"]]
        for role in ("baseline", "arm"):
            side = each[role]
            at = side["mean_samples" if by_samples else "mean_epochs"]
            bounds = set(side["bound"].values())
            bound = next((b for b in ("more than", "at most") if b in bounds), "exact")
            key = (pair[role], each["target"])
            found[key] = Crossing(*key, at, bound)
    few = len({score for _, score in found}) <= MOST_SCORES
    return list(found.values()) if few else []


def draw_crossings(axes: Axes, found: Sequence[Crossing], colours: Mapping[str, str]) -> None:
    """A thin line for every score, and a mark for every arm that is compared there; of marks at
    the same place each is around the one before."""
    for score in dict.fromkeys(each.score for each in found):
        axes.axhline(score, color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1.5)
    for index, each in enumerate(found):
        here = [(other.score, round(other.at, 6)) for other in found[:index]]
        around = here.count((each.score, round(each.at, 6)))
        axes.plot(
            each.at,
            each.score,
            MARKS[each.bound],
            markersize=9 + 6 * around,
            markerfacecolor="white",
            markeredgecolor=colours[each.arm],
            markeredgewidth=1.8,
            zorder=5 - 0.1 * around,
            clip_on=False,
        )
