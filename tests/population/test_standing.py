"""How a population stands, as another process sees it while it trains."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych import cli
from triptych.errors import UserError
from triptych.population.lineage import read_lineage
from triptych.population.standing import as_text, standing


@pytest.fixture
def begun(tmp_path: Path, light: ModuleType) -> Path:
    """Stopped in the third of three rounds, when member 0 was through with it."""

    def enough(work: Any, state: Any) -> float:
        if (work.round, work.member) == (3, 1):
            raise KeyboardInterrupt
        return float(state.score())

    with pytest.raises(KeyboardInterrupt):
        light.population(tmp_path, members=4, score=enough)
    return tmp_path


def test_a_population_that_trains(begun: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in begun.rglob("*")}
    found = standing(begun)
    assert {path: path.stat().st_mtime_ns for path in begun.rglob("*")} == before
    lineage = read_lineage(begun)
    last = lineage.rounds[-1]
    (decision,) = last.takeovers
    assert (found["ended"], found["rounds"], found["epoch"], found["epochs"]) == (False, 2, 4, 6)
    assert [each["hypers"] for each in found["members"]] == lineage.hypers(3)
    assert [each["epoch"] for each in found["members"]] == [6, 4, 4, 4]
    # Member 0 has a new score, the others those of the last round.
    assert found["members"][0]["score"] != last.outcomes[0].score
    assert [m["score"] for m in found["members"][1:]] == [o.score for o in last.outcomes[1:]]
    assert found["members"][decision.member]["last_round"] == f"from {decision.donor}"
    assert found["members"][decision.donor]["last_round"] == f"copied by {decision.member}"
    changes = found["members"][decision.member]["changes"]
    assert {name: change["new"] for name, change in changes.items()} == decision.hypers
    lines = as_text(found).splitlines()
    assert "x/y seed 0: round 3, 4 of 6 epochs scored" in lines[0]
    (row,) = [line for line in lines if line.split()[:1] == [str(decision.member)]]
    assert f"from {decision.donor}" in row


def test_one_that_has_hardly_begun(tmp_path: Path, light: ModuleType) -> None:
    def enough(work: Any, state: Any) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        light.population(tmp_path, score=enough)
    found = standing(tmp_path)
    assert (found["rounds"], found["epoch"], found["best"]) == (0, 0, None)
    assert {each["score"] for each in found["members"]} == {None}
    assert len(as_text(found).splitlines()) >= 4


def test_one_that_ended_and_one_that_diverged(tmp_path: Path, light: ModuleType) -> None:
    def score(work: Any, state: Any) -> float | None:
        return None if (work.member, work.round) == (1, 3) else float(state.score())

    light.population(tmp_path, members=4, score=score)
    found = standing(tmp_path)
    assert found["ended"] is True
    assert found["best"] == read_lineage(tmp_path).rounds[-1].best
    assert [each["diverged"] for each in found["members"]] == [False, True, False, False]
    assert "diverged" in as_text(found)


def test_the_command_says_it_and_runs_nothing(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "classify/tiny-pbt", "--out", str(begun), "--status"]
    assert cli.main([*line, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"run": str(begun), **standing(begun)}
    assert cli.main(line) == 0
    assert capsys.readouterr().out.strip() == as_text(standing(begun)).strip()
    assert not (begun / "result.json").exists()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not the run folder of a population"):
        standing(tmp_path)
