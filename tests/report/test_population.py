"""A population's figures show what its lineage says: who came from whom, breaks, the schedule."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch
from matplotlib.text import Annotation

from triptych.errors import UserError
from triptych.journal import Journal
from triptych.population.lineage import Lineage, Round
from triptych.population.records import Change, Decision, Outcome
from triptych.report.population import (
    FIGURES,
    family_tree,
    figures_of_cell,
    losses,
    member_curves,
    schedule_figure,
    score_name,
    write_figures,
)
from triptych.report.record import write_record
from triptych.report.style import VERMILLION

Record = dict[str, Any]


def took(member: int, donor: int, lr: float, reason: Any = "worst") -> Decision:
    hypers = {"lr": lr, "batch_size": 32}
    changes = {name: Change(1, value, "x1.2", False) for name, value in hypers.items()}
    return Decision(member, donor, reason, hypers, changes)


def past(number: int, scores: list[float | None], best: int, *takeovers: Decision) -> Round:
    outcomes = [
        Outcome(score, 1, 8, {} if score is None else {"loss": 1.0, "top1": score})
        for score in scores
    ]
    return Round(number, 2 * number, best, outcomes, list(takeovers))


HISTORY = Lineage(
    start=[{"lr": lr, "batch_size": size} for lr, size in ((1e-4, 16), (2e-3, 32), (3e-3, 64))],
    rounds=[
        past(1, [0.1, 0.4, None], 1, took(0, 1, 2.4e-3), took(2, 1, 1e-3, "diverged")),
        past(2, [0.6, 0.3, 0.4], 0, took(1, 0, 1.9e-3)),
        past(3, [0.5, 0.7, 0.4], 1),
    ],
)
"""Member 1 is the best at the end; its weights were trained in 1, then 0, then 1."""


def write(folder: Path, history: Lineage = HISTORY) -> Path:
    for member in range(3):
        place = folder / "members" / str(member)
        place.mkdir(parents=True)
        metrics = Journal(place / "metrics.jsonl")
        for epoch in range(1, 7):
            loss = None if (member, epoch) == (2, 2) else 5 + member - epoch / 10
            metrics.append({"step": epoch, "split": "train", "epoch": epoch, "loss": loss, "lr": 1})
            metrics.append({"step": epoch, "split": "val", "epoch": epoch, "loss": 9.0})
        metrics.close()
    journal = Journal(folder / "lineage.jsonl")
    journal.append({"event": "start", "hypers": history.start})
    for each in history.rounds:
        journal.append(each.event())
    journal.close()
    return folder


def lines(axes: Axes, width: float | None = None) -> list[tuple[list[float], list[float]]]:
    found = [line for line in axes.lines if width is None or line.get_linewidth() == width]
    return [(list(map(float, x.get_xdata())), list(map(float, x.get_ydata()))) for x in found]  # type: ignore[arg-type]


def test_the_family_tree() -> None:
    (axes,) = family_tree(HISTORY).axes
    ancestry = lines(axes, 3.6)
    assert ancestry == [([0, 2], [1, 1]), ([2, 4], [0, 0]), ([4, 6], [1, 1])]
    arrows = [text for text in axes.texts if isinstance(text, Annotation)]
    ends = [(arrow.xy[0], arrow.xyann[1], arrow.xy[1]) for arrow in arrows]
    assert ends == [(2, 1, 0), (2, 1, 2), (4, 0, 1)]
    bold = [arrow.arrow_patch.get_linewidth() > 1 for arrow in arrows if arrow.arrow_patch]
    assert bold == [True, False, True]
    # Two members live at the end on other weights; what no one has any more is pale.
    pale = [line for line in axes.lines if to_hex(line.get_color()) == "#c9c9c9"]
    assert [(float(x.get_xdata()[0]), float(x.get_ydata()[0])) for x in pale] == [  # type: ignore[arg-type,index]
        (0, 0), (0, 2), (2, 1),
    ]  # fmt: skip
    assert sum(line.get_marker() == "x" for line in axes.lines) == 1
    assert [t.get_text() for t in axes.texts if t.get_text()] == ["0.500", "0.700", "0.400"]


def test_training_losses_break_where_weights_were_taken_over(tmp_path: Path) -> None:
    found = losses(write(tmp_path), HISTORY)
    assert [[[epoch for epoch, _ in piece] for piece in pieces] for pieces in found] == [
        [[1, 2], [2, 3, 4, 5, 6]],
        [[1, 2, 3, 4], [4, 5, 6]],
        [[1], [2, 3, 4, 5, 6]],
    ]
    # From the donor's loss at that epoch.
    assert found[0][1][0] == (2, found[1][0][1][1])
    assert found[1][1][0] == (4, 5 - 0.4)
    assert found[2][1][0] == (2, 6 - 0.2)


def test_curves_of_the_best_and_of_all(tmp_path: Path) -> None:
    figure = member_curves(HISTORY, losses(write(tmp_path), HISTORY))
    best_score, best_loss, all_scores, _ = figure.axes
    whole = [line for line in lines(best_score) if len(line[0]) > 1]
    assert whole == [([2, 4], [0.4, 0.3]), ([4, 6], [0.6, 0.7])]
    assert [x for x, _ in lines(best_loss) if len(x) > 1] == [[1, 2, 3, 4], [4, 5, 6]]
    pieces = [list(zip(*line, strict=True)) for line in lines(all_scores) if len(line[0]) > 1]
    expected = [p for member in range(3) for p in HISTORY.curves(member) if len(p) > 1]
    assert pieces == expected
    assert "member 1" in best_score.get_title(loc="left")


def test_the_schedule_of_the_best() -> None:
    figure = schedule_figure(HISTORY)
    found = {}
    for axes in figure.axes:
        (thick,) = [
            patch
            for patch in axes.patches
            if isinstance(patch, StepPatch) and to_hex(patch.get_edgecolor()) == VERMILLION.lower()
        ]
        found[axes.get_title(loc="left")] = list(thick.get_data().values)
        moved = [line.get_xdata()[0] for line in axes.lines]  # type: ignore[index]
        assert moved == [2, 4]
    assert found == {"lr": [2e-3, 2.4e-3, 1.9e-3], "batch_size": [32, 32, 32]}


def test_the_score_is_named_where_the_records_name_it() -> None:
    assert score_name(HISTORY) == "top1 on validation"
    unnamed = Lineage(HISTORY.start, [Round(1, 2, 0, [Outcome(0.5, 1, 1)] * 3, [])])
    assert score_name(unnamed) == "score"


def test_they_are_written_into_the_run_and_alike_each_time(tmp_path: Path) -> None:
    run = write(tmp_path)
    files = write_figures(run)
    assert [file.name for file in files] == [f"{name}.svg" for name in FIGURES]
    before = [file.read_bytes() for file in files]
    for file in files:
        ElementTree.parse(file)
    write_figures(run)
    assert [file.read_bytes() for file in files] == before
    assert sorted(run.glob("figures/*")) == sorted(files)


def test_a_long_population_of_many_members(tmp_path: Path) -> None:
    members = 19
    rounds = [
        Round(n, 10 * n, 18, [Outcome(m / 20, 1, 1, {"top1": m / 20}) for m in range(members)],
              [took(m, 18, 1e-3) for m in range(5)] if n < 20 else [])
        for n in range(1, 21)
    ]  # fmt: skip
    lineage = Lineage([{"lr": 1e-3, "batch_size": 32}] * members, rounds)
    assert len(family_tree(lineage).axes[0].get_yticks()) == members
    assert len(member_curves(lineage, [[] for _ in range(members)]).axes) == 4


def test_no_torch_is_imported() -> None:
    code = "import sys, triptych.report.population; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the run folder of a population"):
        write_figures(tmp_path)
    with pytest.raises(UserError, match="no complete round"):
        write_figures(write(tmp_path, Lineage(HISTORY.start, [])))


def test_a_record_holds_the_populations_of_a_comparison(
    verdict: Record, make_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_folder(verdict)
    cell = folder / "conv" / "seed-0"
    write(cell)
    assert figures_of_cell(cell) == {}  # it has not ended
    (cell / "result.json").write_text("{}")
    still = folder / "conv" / "seed-1"
    write(still, Lineage(HISTORY.start, HISTORY.rounds[2:]))
    (still / "result.json").write_text("{}")
    assert figures_of_cell(still) == {}  # nothing was taken over
    out = tmp_path / "record"
    for _ in range(2):  # a record is replaced
        write_record(folder, verdict, out)
        names = {path.name for path in out.glob("population-*")}
        assert names == {f"population-conv-seed-0-{name}.svg" for name in FIGURES}
    page = (out / "README.md").read_text()
    assert all(f"]({name})" in page for name in names)
    assert json.loads((out / "verdict.json").read_text())["pairs"] == verdict["pairs"]
