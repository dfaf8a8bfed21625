"""The live view: a line a member with score, hyperparameters and what happened."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from triptych.population.lineage import Round
from triptych.population.live import Population, Row, happened, live, members_table
from triptych.population.records import Change, Decision, Outcome

PAST = Round(
    number=2,
    epoch=20,
    best=2,
    outcomes=[Outcome(s, 1, 1) for s in (0.25, None, 0.75, 0.5)],
    takeovers=[
        Decision(
            1, 2, "diverged", {"lr": 1e-3, "batch": 64},
            {"lr": Change(1e-3, 1e-3, "x1.2", True), "batch": Change(32, 64, "next up", False)},
        )
    ],
)  # fmt: skip
HYPERS = [{"lr": 2e-4, "batch": 32}] * 4


def drawn(view: Population) -> list[str]:
    console = Console(file=io.StringIO(), width=140)
    console.print(view.table())
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


def test_a_line_a_member() -> None:
    view = Population("x seed 0", 4, 5, Console(file=io.StringIO()), None)
    view.round_begins(3, HYPERS, PAST)
    view.interval_ends(0, Outcome(0.3125, 1, 1))
    with view.training(3, 100, 20) as shown:
        shown.advance(1, "loss 1.0")
        lines = drawn(view)
    assert "x seed 0, round 3 of 5" in lines[0]
    rows = [line for line in lines if "0.0002" in line]
    assert len(rows) == 4
    for row, score, what in zip(
        rows,
        ("0.3125", "diverged", "0.7500", "0.5000"),
        ("goes on", "diverged, from 2", "copied by 1", "goes on"),
        strict=True,
    ):
        assert all(text in row for text in (score, what, "32"))
    # What came of the donor's values: one was clamped, one went to the next.
    assert "0.0002=" in rows[1]
    assert "32↑" in rows[1]
    assert not any(mark in row for row in rows[:1] + rows[2:] for mark in "=↑↓*")
    assert "> 3" in rows[3]
    assert not any("> " in row for row in rows[:3])


def test_six_hyperparameters_fit_into_80_columns() -> None:
    hypers = {
        "crop_area": 0.123456, "erasing": 0.123456, "drop_path": 0.0123456, "lr": 0.000123456,
        "weight_decay": 0.0000123456, "batch_size": 384,
    }  # fmt: skip
    row = Row(7, "0.1234", hypers, "copied by 1, 2", {})
    console = Console(file=io.StringIO(), width=80)
    console.print(members_table("x", [row], training=7))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    (line,) = [line for line in lines if "> 7" in line]
    for text in ("0.1234", "0.123", "0.0123", "0.000123", "1.23e-05", "384", "copied by 1, 2"):
        assert text in line


def test_what_happened_in_words() -> None:
    assert happened(1, PAST) == "diverged, from 2"
    assert happened(2, PAST) == "copied by 1"


def test_nothing_is_drawn_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with live("x", 4, 5, show=True) as view:
        view.round_begins(3, HYPERS, PAST)
        view.interval_ends(0, Outcome(0.5, 1, 1))
    assert capsys.readouterr() == ("", "")
