"""Family trees, schedules and curves of a history made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.errors import UserError
from triptych.journal import Journal
from triptych.population.lineage import Lineage, Round, Segment, parse, read_lineage
from triptych.population.records import Change, Decision, Outcome

LRS = [0.1, 0.2, 0.3, 0.4]


def took(member: int, donor: int, lr: float) -> Decision:
    return Decision(member, donor, "worst", {"lr": lr}, {"lr": Change(0.1, lr, "x1.2", False)})


def round_of(number: int, scores: list[float | None], best: int, *takeovers: Decision) -> Round:
    outcomes = [Outcome(score, updates=10 + m, samples=100) for m, score in enumerate(scores)]
    return Round(number, 5 * number, best, outcomes, list(takeovers))


HISTORY = Lineage(
    start=[{"lr": lr} for lr in LRS],
    rounds=[
        round_of(1, [0.1, 0.4, 0.2, 0.3], 1, took(0, 1, 0.24)),
        round_of(2, [0.6, 0.3, 0.4, 0.5], 0, took(1, 0, 0.19)),
        round_of(3, [0.6, 0.5, None, 0.7], 3, took(2, 3, 0.5)),
        round_of(4, [0.7, 0.8, 0.75, 0.6], 1),
    ],
)


def test_hyperparameters_of_every_round() -> None:
    found = [[h["lr"] for h in HISTORY.hypers(n)] for n in (1, 2, 3, 4)]
    assert found == [
        LRS, [0.24, 0.2, 0.3, 0.4], [0.24, 0.19, 0.3, 0.4], [0.24, 0.19, 0.5, 0.4],
    ]  # fmt: skip


def test_ancestors_of_the_best_and_its_schedule() -> None:
    # 1 ended with the weights of 0, which had taken over those of 1.
    assert HISTORY.owners(1) == [1, 0, 1, 1]
    assert HISTORY.owners(2) == [3, 3, 3, 2]
    assert [HISTORY.origin(member) for member in range(4)] == [1, 1, 3, 3]
    assert HISTORY.schedule() == [
        Segment(0, 5, 1, {"lr": 0.2}),
        Segment(5, 10, 0, {"lr": 0.24}),
        Segment(10, 20, 1, {"lr": 0.19}),
    ]
    assert HISTORY.schedule(3) == [Segment(0, 20, 3, {"lr": 0.4})]


def test_curves_break_where_weights_were_taken_over() -> None:
    assert HISTORY.curves(0) == [[(5, 0.1)], [(5, 0.4), (10, 0.6), (15, 0.6), (20, 0.7)]]
    assert HISTORY.curves(1) == [[(5, 0.4), (10, 0.3)], [(10, 0.6), (15, 0.5), (20, 0.8)]]
    # In the round in which it diverged it has no score.
    assert HISTORY.curves(2) == [[(5, 0.2), (10, 0.4)], [(15, 0.7), (20, 0.75)]]
    assert HISTORY.curves(3) == [[(5, 0.3), (10, 0.5), (15, 0.7), (20, 0.6)]]


def test_the_cost_is_that_of_all_members() -> None:
    assert (HISTORY.updates(), HISTORY.samples()) == (4 * (10 + 11 + 12 + 13), 1600)


def write(folder: Path, history: Lineage) -> Path:
    journal = Journal(folder / "lineage.jsonl")
    journal.append({"event": "start", "hypers": history.start})
    for past in history.rounds:
        journal.append(past.event())
    journal.close()
    return folder / "lineage.jsonl"


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = write(tmp_path, HISTORY)
    assert read_lineage(tmp_path) == HISTORY
    text = file.read_bytes()
    file.write_bytes(text[:-1])
    assert read_lineage(tmp_path).rounds == HISTORY.rounds[:-1]


def test_a_folder_without_a_population_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the run folder of a population"):
        read_lineage(tmp_path)
    (tmp_path / "lineage.jsonl").write_text("nonsense\n")
    with pytest.raises(UserError, match=r"lineage\.jsonl is not the lineage"):
        read_lineage(tmp_path)
    assert parse([]) is None
