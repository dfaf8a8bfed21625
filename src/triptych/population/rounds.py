"""The loop in step: every member trains an interval, all are scored, the worst take over the best.

What is on the disk decides, so a population may be killed at any moment and goes on to the same
bytes: a member whose interval is complete says so in its checkpoint, a round counts from the moment
its line stands in `lineage.jsonl`, and what follows from it (whose weights go where) may be done
again and again with the same result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from triptych.journal import Journal, read_events
from triptych.population.decisions import decide, healthy, ranking
from triptych.population.lineage import FILE, Lineage, Round, parse
from triptych.population.member import Member, show_best
from triptych.population.records import Hypers, Outcome
from triptych.population.space import Space
from triptych.run import Run
from triptych.training.seeding import derive, stream

log = logging.getLogger("triptych")


@dataclass(frozen=True)
class Interval:
    """The work of one member in one round."""

    member: int
    round: int
    """From 1."""
    start: int
    """Epochs that are complete at its beginning."""
    epoch: int
    """Epochs that are complete at its end."""
    hypers: Hypers
    folder: Member
    """Where the member goes on from, and where it is saved."""
    moved: bool
    """Whether the weights in the folder are others than the member's last interval left."""


Train = Callable[[Sequence[Interval]], Iterator[Interval]]
"""Trains intervals of one round in any order and place, and gives each back when it is complete:
when `interval.folder.finish` has been called. An engine is a function of this kind."""


class View(Protocol):
    """Who is told how it goes."""

    def round_begins(self, number: int, hypers: Sequence[Hypers], last: Round | None) -> None: ...

    def interval_ends(self, member: int, outcome: Outcome) -> None: ...


def one_after_another(train: Callable[[Interval], None]) -> Train:
    """Members of one process take turns."""

    def turns(intervals: Sequence[Interval]) -> Iterator[Interval]:
        for interval in intervals:
            train(interval)
            yield interval

    return turns


def member_seed(seed: int, member: int) -> int:
    """The seed of a member's weights, data order and augmentation."""
    return derive(seed, "member", member)


def run_rounds(
    run: Run,
    members: Sequence[Member],
    space: Space,
    seed: int,
    ends: Sequence[int],
    train: Train,
    view: View,
) -> Lineage:
    """Train a population in an open run, or go on where it stood; returns its history.

    `ends` are the epochs at which rounds end. After the last one nothing is taken over. The best
    of each round is logged as the run's own score, and its weights lie where a run's do. Raises
    WorkFailed where all members diverged.
    """
    journal = Journal(run.folder / FILE)
    try:
        lineage = _begin(journal, space, seed, len(members))
        run.restart()
        for past in lineage.rounds:
            _log(run, lineage, past)
        moved = _settle(run, members, lineage)
        for number, end in enumerate(ends, start=1):
            if number <= len(lineage.rounds):
                continue
            hypers = lineage.hypers(number)
            view.round_begins(number, hypers, lineage.rounds[-1] if lineage.rounds else None)
            epochs = ends[number - 2] if number > 1 else 0, end
            outcomes = _train_round(members, hypers, number, epochs, moved, train, view)
            scores = [outcome.score for outcome in outcomes]
            last = number == len(ends)
            past = Round(
                number=number,
                epoch=end,
                best=ranking(scores)[-1],
                outcomes=outcomes,
                takeovers=[] if last else decide(scores, hypers, space, seed, number),
            )
            for member, score in enumerate(scores):
                if not healthy(score):
                    log.warning("%s", _diverged(member, past))
            journal.append(past.event())
            journal.flush()
            lineage.rounds.append(past)
            _log(run, lineage, past)
            moved = _settle(run, members, lineage)
        return lineage
    finally:
        journal.close()


def _begin(journal: Journal, space: Space, seed: int, members: int) -> Lineage:
    """What is on record, half a line cut off; or a fresh start."""
    events, length = read_events(journal.file)
    journal.truncate(length)
    lineage = parse(events)
    if lineage is None:
        start = [space.sample(stream(seed, "start", member)) for member in range(members)]
        journal.append({"event": "start", "hypers": start})
        lineage = Lineage(start, [])
    return lineage


def _train_round(
    members: Sequence[Member],
    hypers: Sequence[Hypers],
    number: int,
    epochs: tuple[int, int],
    moved: Iterable[int],
    train: Train,
    view: View,
) -> list[Outcome]:
    waiting = []
    for index, member in enumerate(members):
        if (done := member.outcome(number)) is not None:
            view.interval_ends(index, done)
            continue
        member.round = number
        waiting.append(Interval(index, number, *epochs, hypers[index], member, index in moved))
    for interval in train(waiting):
        done = interval.folder.outcome(number)
        assert done is not None, "an engine gave an interval back before it was complete"
        view.interval_ends(interval.member, done)
    for member in members:
        member.settle()
    return [done for member in members if (done := member.outcome(number)) is not None]


def _settle(run: Run, members: Sequence[Member], lineage: Lineage) -> set[int]:
    """Do what follows from the newest round, unless it was done; returns the members moved."""
    if not lineage.rounds:
        return set()
    past = lineage.rounds[-1]
    for decision in past.takeovers:
        donor = members[decision.donor]
        members[decision.member].take_over(donor, past.number, decision.hypers)
    show_best(run.folder, members[past.best], lineage.updates())
    return {decision.member for decision in past.takeovers}


def _log(run: Run, lineage: Lineage, past: Round) -> None:
    """The best of a round, at the number of updates that all members had made."""
    until = Lineage(lineage.start, lineage.rounds[: past.number])
    best = past.outcomes[past.best]
    run.log(until.updates(), "val", epoch=past.epoch, member=past.best, **best.scores)


def _diverged(member: int, past: Round) -> str:
    decision = past.takeover(member)
    so = "" if decision is None else f": it goes on from member {decision.donor}"
    return f"member {member} diverged in round {past.number}{so}"
