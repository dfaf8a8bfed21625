"""What is on record of a population. No torch is imported here: reports read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Hypers = Mapping[str, float]
"""Values of hyperparameters by name; whole numbers stay whole."""

Reason = Literal["worst", "diverged"]


@dataclass(frozen=True)
class Change:
    """How a hyperparameter of the donor became one of the member."""

    old: float
    new: float
    how: str
    """`resampled`, `x1.2`, `x0.8`, `next up` or `next down` in the list."""
    clamped: bool
    """Whether the value would have left its range and was put at its end."""


@dataclass(frozen=True)
class Decision:
    """After a round `member` goes on from the weights of `donor`, with `hypers`."""

    member: int
    donor: int
    reason: Reason
    hypers: dict[str, float]
    changes: dict[str, Change]


@dataclass(frozen=True)
class Outcome:
    """What came of one member's interval."""

    score: float | None
    """Higher is better; None where the member diverged."""
    updates: int
    """Made in this interval, as are `samples`."""
    samples: int
    scores: dict[str, float] = field(default_factory=dict)
    """What else was measured, for curves and tables."""
    due: dict[str, list[float]] = field(default_factory=dict)
    """Least and greatest value of each hyperparameter that the interval asked for."""
    used: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of each setting that a witness saw in the interval: `min`, `max`, `mean`."""
