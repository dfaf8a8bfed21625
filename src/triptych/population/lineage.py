"""Who came from whom: `lineage.jsonl`, the first line the start, then one line a round.

    {"event": "start", "hypers": [{"lr": …}, …]}
    {"event": "round", "round": 1, "epoch": 10, "best": 3, "outcomes": […], "takeovers": […]}

A round counts from the moment that its line is whole, so the file is also what a population goes
on from after it was killed. It holds no times: the same run gives the same bytes. No torch is
imported here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.errors import UserError
from triptych.journal import read_events
from triptych.population.records import Change, Decision, Outcome

FILE = "lineage.jsonl"


@dataclass(frozen=True)
class Round:
    """A round that is complete."""

    number: int
    """From 1."""
    epoch: int
    """Epochs that every member stood at."""
    best: int
    outcomes: list[Outcome]
    """By member."""
    takeovers: list[Decision]

    def event(self) -> dict[str, Any]:
        return {
            "event": "round",
            "round": self.number,
            "epoch": self.epoch,
            "best": self.best,
            "outcomes": [dataclasses.asdict(each) for each in self.outcomes],
            "takeovers": [dataclasses.asdict(each) for each in self.takeovers],
        }

    def takeover(self, member: int) -> Decision | None:
        """How a member was replaced after this round; None where it was not."""
        return next((each for each in self.takeovers if each.member == member), None)


@dataclass(frozen=True)
class Segment:
    """What one member trained: from `start` complete epochs to `stop` complete epochs."""

    start: int
    stop: int
    member: int
    hypers: dict[str, float]


Point = tuple[int, float]
"""(epoch, score)."""


@dataclass(frozen=True)
class Lineage:
    """A population's history."""

    start: list[dict[str, float]]
    """The hyperparameters that every member began with."""
    rounds: list[Round]

    def hypers(self, round: int) -> list[dict[str, float]]:
        """Every member's hyperparameters in the interval of a round, from 1."""
        found = [dict(each) for each in self.start]
        for past in self.rounds[: round - 1]:
            for decision in past.takeovers:
                found[decision.member] = dict(decision.hypers)
        return found

    def owners(self, member: int) -> list[int]:
        """In which member a member's newest weights were, round by round."""
        owners: list[int] = []
        for past in reversed(self.rounds):
            if owners and (decision := past.takeover(member)) is not None:
                member = decision.donor
            owners.append(member)
        return owners[::-1]

    def origin(self, member: int) -> int:
        """The member whose first weights those of `member` now come from."""
        for past in reversed(self.rounds):
            decision = past.takeover(member)
            member = member if decision is None else decision.donor
        return member

    def schedule(self, member: int | None = None) -> list[Segment]:
        """How a member's newest weights were trained, from the first epoch on; None is the best.

        Neighbouring rounds of the same member with the same hyperparameters are one segment.
        """
        if not self.rounds:
            return []
        segments: list[Segment] = []
        stood = 0
        owners = self.owners(self.rounds[-1].best if member is None else member)
        for past, owner in zip(self.rounds, owners, strict=True):
            hypers = self.hypers(past.number)[owner]
            last = segments[-1] if segments else None
            if last is not None and (last.member, last.hypers) == (owner, hypers):
                segments[-1] = dataclasses.replace(last, stop=past.epoch)
            else:
                segments.append(Segment(stood, past.epoch, owner, hypers))
            stood = past.epoch
        return segments

    def curves(self, member: int) -> list[list[Point]]:
        """A member's scores, broken where its weights were taken over.

        After a break the curve begins with the donor's score at that epoch. Intervals in which
        the member diverged have no point.
        """
        pieces: list[list[Point]] = [[]]
        for past in self.rounds:
            score = past.outcomes[member].score
            if score is not None:
                pieces[-1].append((past.epoch, score))
            if (decision := past.takeover(member)) is not None:
                theirs = past.outcomes[decision.donor].score
                assert theirs is not None
                pieces.append([(past.epoch, theirs)])
        return [piece for piece in pieces if piece]

    def updates(self) -> int:
        """Of all members, those included whose weights were given up."""
        return sum(each.updates for past in self.rounds for each in past.outcomes)

    def samples(self) -> int:
        """Of all members, those included whose weights were given up."""
        return sum(each.samples for past in self.rounds for each in past.outcomes)


def parse(events: Sequence[dict[str, Any]]) -> Lineage | None:
    """The history that events tell; None where not even the start is there."""
    if not events:
        return None
    rounds = [
        Round(
            number=event["round"],
            epoch=event["epoch"],
            best=event["best"],
            outcomes=[Outcome(**each) for each in event["outcomes"]],
            takeovers=[_decision(each) for each in event["takeovers"]],
        )
        for event in events[1:]
    ]
    return Lineage(events[0]["hypers"], rounds)


def _decision(record: dict[str, Any]) -> Decision:
    changes = {name: Change(**each) for name, each in record["changes"].items()}
    return Decision(**(record | {"changes": changes}))


def read_lineage(run: Path) -> Lineage:
    """The history of a population's run folder. Raises UserError where it has none."""
    try:
        found = parse(read_events(run / FILE)[0])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{run / FILE} is not the lineage of a population ({error})") from None
    if found is None:
        raise UserError(f"{run} is not the run folder of a population: it has no {FILE}")
    return found
