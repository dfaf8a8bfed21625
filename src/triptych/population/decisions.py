"""Who takes over whose weights after a round, and with which hyperparameters: pure and seeded.

Truncation selection and exploring as in Jaderberg 2017, with the numbers of Ray Tune's
`PopulationBasedTraining`, which the original ran: the worst quarter copies a member of the best
quarter, drawn uniformly; each hyperparameter of the donor is drawn anew with probability 1/4, else
a number becomes 1.2 or 0.8 times as large and a choice goes to a neighbour in its list.

Three differences are meant. Values stay inside the space (Ray's leave it). A member that diverged
is replaced like a worst one (Ray leaves it as it is for ever). Without a healthy member the work
fails with one line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from triptych.errors import WorkFailed
from triptych.population.records import Change, Decision, Hypers
from triptych.population.space import Choice, Dimension, Space, uniform
from triptych.training.seeding import stream

QUANTILE = 0.25
RESAMPLED = 0.25
FACTORS = (1.2, 0.8)


def decide(
    scores: Sequence[float | None], hypers: Sequence[Hypers], space: Space, seed: int, round: int
) -> list[Decision]:
    """What follows from a round; one decision for each member that is replaced.

    `scores` are higher for better members; None or a number that is not finite says that a member
    diverged. Members with equal scores rank by their number. Raises WorkFailed where all diverged.
    """
    ranked = ranking(scores)
    failed = [member for member in ranked if not healthy(scores[member])]
    size = quantile(len(scores))
    # Diverged members are replaced however many they are; donors are what is left of the best.
    replaced = ranked[: max(size, len(failed))]
    donors = [member for member in ranked[len(ranked) - max(size, 1) :] if member not in failed]
    decisions = []
    for member in sorted(replaced):
        generator = stream(seed, "takeover", round, member)
        donor = donors[int(len(donors) * uniform(generator))]
        changes = {
            name: explore(dimension, hypers[donor][name], generator) for name, dimension in space
        }
        decisions.append(
            Decision(
                member=member,
                donor=donor,
                reason="diverged" if member in failed else "worst",
                hypers={name: change.new for name, change in changes.items()},
                changes=changes,
            )
        )
    return decisions


def ranking(scores: Sequence[float | None]) -> list[int]:
    """Members from the worst to the best: those that diverged, then by score, then by number.

    Raises WorkFailed where all diverged.
    """
    if not any(healthy(score) for score in scores):
        raise WorkFailed(
            f"all {len(scores)} members diverged: no weights are left to go on from; "
            "lower the learning rates of the space"
        )
    return sorted(range(len(scores)), key=lambda member: (_key(scores[member]), member))


def quantile(members: int) -> int:
    """How many of so many members are the worst, or the best: a quarter, rounded up, but never
    more than half of them."""
    return min(math.ceil(members * QUANTILE), members // 2)


def healthy(score: float | None) -> bool:
    return score is not None and math.isfinite(score)


def _key(score: float | None) -> float:
    return score if score is not None and math.isfinite(score) else -math.inf


def explore(dimension: Dimension, value: float, generator: torch.Generator) -> Change:
    """A new value near a donor's, or with probability RESAMPLED one drawn from the dimension."""
    resample = uniform(generator) < RESAMPLED
    if resample or (isinstance(dimension, Choice) and not dimension.contains(value)):
        return Change(value, dimension.sample(generator), "resampled", clamped=False)
    first = uniform(generator) < 0.5
    if isinstance(dimension, Choice):
        place = dimension.values.index(value) + (1 if first else -1)
        inside = min(max(place, 0), len(dimension.values) - 1)
        how = "next up" if first else "next down"
        return Change(value, dimension.values[inside], how, clamped=inside != place)
    factor = FACTORS[0] if first else FACTORS[1]
    wanted = value * factor
    new = dimension.clamp(wanted)
    return Change(value, new, f"x{factor:g}", clamped=new != wanted)
