"""The loop in step: what it leaves behind, whatever kills it, and how much it holds meanwhile."""

from __future__ import annotations

import json
import logging
import math
import multiprocessing
import os
import runpy
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from triptych.checkpoint import newest_first
from triptych.errors import WorkFailed
from triptych.population.lineage import read_lineage
from triptych.population.member import Member
from triptych.run import newest_checkpoint

ENDS = (1, 3)
"""Two rounds, with a takeover between them where there are two members."""


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a killed process wrote is there without it.
    monkeypatch.setattr(os, "fsync", lambda _: None)


def checkpoints(folder: Path) -> list[Path]:
    """Whole or half, hidden or not."""
    return [*folder.glob("checkpoints/*"), *folder.glob("members/*/checkpoints/*")]


def test_members_train_alone_and_weights_go_where_it_was_decided(
    tmp_path: Path, light: ModuleType
) -> None:
    """The final weights of every member, computed from the lineage alone."""
    lineage = light.population(tmp_path, members=8, ends=(2, 4, 6, 7))
    assert [len(past.takeovers) for past in lineage.rounds] == [2, 2, 2, 0]
    assert lineage == read_lineage(tmp_path)
    stood = 0
    states = [light.Weights() for _ in range(8)]
    for past in lineage.rounds:
        hypers = lineage.hypers(past.number)
        for member, state in enumerate(states):
            assert light.SPACE.contains(hypers[member])
            state.hypers = hypers[member]
            for _ in range(past.epoch - stood):
                state.update(member)
            assert past.outcomes[member].score == state.score()
        for decision in past.takeovers:
            donor = states[decision.donor]
            states[decision.member].value = donor.value
        stood = past.epoch
    for member, state in enumerate(states):
        (live,) = newest_first(tmp_path / "members" / str(member) / "checkpoints")
        record = json.loads((live / "state.json").read_text())["state"]
        assert record["value"] == state.value
        # Time is what the member itself spent, whoever's weights it has.
        assert record["seconds"] == 7 * (member + 1)
    best = max(range(8), key=lambda m: states[m].score())
    assert lineage.rounds[-1].best == best
    assert (newest_checkpoint(tmp_path) / "weights").read_text() == states[best].value
    # All that was trained counts.
    batches = [
        h["batch"] * (past.epoch - start)
        for past, start in zip(lineage.rounds, (0, 2, 4, 6), strict=True)
        for h in lineage.hypers(past.number)
    ]
    assert (lineage.updates(), lineage.samples()) == (sum(batches), 2 * sum(batches))


def test_the_runs_own_log_is_the_best_of_each_round(tmp_path: Path, light: ModuleType) -> None:
    lineage = light.population(tmp_path)
    lines = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [2, 4, 6]
    assert [line["member"] for line in lines] == [past.best for past in lineage.rounds]
    assert lines[-1]["step"] == lineage.updates()
    for line, past in zip(lines, lineage.rounds, strict=True):
        assert line["top1"] == max(each.score for each in past.outcomes)


def test_a_score_right_after_a_takeover_is_the_donors(tmp_path: Path, light: ModuleType) -> None:
    """Stopped right after a round: the member's folder holds weights with the donor's score."""

    class Enough(Exception):
        pass

    def stop(work: Any, state: Any) -> float:
        if work.round == 2:
            raise Enough
        return float(state.score())

    with pytest.raises(Enough):
        light.population(tmp_path, members=8, score=stop)
    (past,) = read_lineage(tmp_path).rounds
    assert len(past.takeovers) == 2
    for decision in past.takeovers:
        folder = tmp_path / "members" / str(decision.member)
        (live,) = newest_first(folder / "checkpoints")
        record = json.loads((live / "state.json").read_text())
        state = light.Weights()
        state.read(live, record["state"])
        assert state.score() == past.outcomes[decision.donor].score
        assert state.hypers == decision.hypers
        assert record["lengths"]["metrics.jsonl"] == (folder / "metrics.jsonl").stat().st_size


def test_another_order_of_members_gives_the_same_bytes(tmp_path: Path, light: ModuleType) -> None:
    light.population(tmp_path / "a", members=5)
    light.population(tmp_path / "b", members=5, engine=light.backwards)
    assert light.outcome(tmp_path / "a") == light.outcome(tmp_path / "b")


def test_seeds_differ(tmp_path: Path, light: ModuleType) -> None:
    a, b = (light.population(tmp_path / str(seed), seed=seed) for seed in (0, 1))
    assert a.start != b.start
    assert a.rounds[0].outcomes != b.rounds[0].outcomes


def test_a_run_that_ended_is_not_touched(tmp_path: Path, light: ModuleType) -> None:
    light.population(tmp_path)
    before = light.outcome(tmp_path)
    assert light.population(tmp_path) is None
    assert light.outcome(tmp_path) == before


@pytest.mark.parametrize(("members", "deferred"), [(4, False), (8, False), (8, True)])
def test_storage_is_bounded_at_every_moment(
    tmp_path: Path,
    light: ModuleType,
    members: int,
    deferred: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = 0

    def look(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def looking(*arguments: Any, **options: Any) -> Any:
            nonlocal most
            done = function(*arguments, **options)
            most = max(most, len(checkpoints(tmp_path)))
            return done

        monkeypatch.setattr(owner, name, looking)

    for owner, name in ((Path, "mkdir"), (Path, "rename"), (os, "mkdir"), (shutil, "rmtree")):
        look(owner, name)
    light.population(
        tmp_path, members=members, ends=range(1, 13), save_within=True, deferred=deferred
    )
    assert len(checkpoints(tmp_path)) == members + 1
    assert members < most <= 2 * (members + 1)


def _die_at(count: int, folder: Path, light: ModuleType, within: bool, deferred: bool) -> None:
    operations = [
        (Path, "write_text"), (Path, "rename"), (Path, "replace"), (Path, "mkdir"),
        (Path, "open"), (os, "fsync"), (os, "link"), (os, "unlink"), (os, "rmdir"),
        (shutil, "rmtree"),
    ]  # fmt: skip
    faults = Path(__file__).parents[1] / "faults.py"
    runpy.run_path(str(faults))["die_at"](count, operations)
    light.population(folder, members=2, ends=ENDS, save_within=within, deferred=deferred)


@pytest.mark.parametrize(("within", "deferred"), [(False, False), (True, False), (False, True)])
def test_killed_at_every_file_operation_gives_the_same_bytes(
    tmp_path: Path, light: ModuleType, within: bool, deferred: bool
) -> None:
    light.population(tmp_path / "whole", members=2, ends=ENDS, save_within=within)
    expected = light.outcome(tmp_path / "whole")
    context = multiprocessing.get_context("fork")
    died = 0
    # With checkpoints within intervals or deferred not every operation: it is the same code.
    for count in range(1, 2000, 5 if within else 3 if deferred else 1):
        folder = tmp_path / f"killed-{count}"
        process = context.Process(target=_die_at, args=(count, folder, light, within, deferred))
        process.start()
        process.join()
        light.population(folder, members=2, ends=ENDS, save_within=within)
        assert light.outcome(folder) == expected, f"killed at operation {count}"
        assert not list(folder.rglob("checkpoints/.*"))
        shutil.rmtree(folder)
        if process.exitcode == 0:
            break
        died += 1
    assert died > 20


def test_a_half_written_line_is_no_round(tmp_path: Path, light: ModuleType) -> None:
    light.population(tmp_path / "whole")
    expected = light.outcome(tmp_path / "whole")
    for cut in (1, 30):
        folder = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "whole", folder)
        (folder / "result.json").unlink()
        text = (folder / "lineage.jsonl").read_bytes()
        (folder / "lineage.jsonl").write_bytes(text[:-cut])
        light.population(folder)
        assert light.outcome(folder) == expected


def test_a_diverged_member_is_replaced_and_named(
    tmp_path: Path, light: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    def score(work: Any, state: Any) -> float | None:
        return None if (work.member, work.round) == (1, 2) else float(state.score())

    with caplog.at_level(logging.WARNING):
        lineage = light.population(tmp_path, members=4, score=score)
    (decision,) = lineage.rounds[1].takeovers
    assert (decision.member, decision.reason) == (1, "diverged")
    named = f"member 1 diverged in round 2: it goes on from member {decision.donor}"
    assert [record.message for record in caplog.records] == [named]
    assert lineage.rounds[2].outcomes[1].score is not None


def test_all_diverged_is_an_error_that_stays(tmp_path: Path, light: ModuleType) -> None:
    def score(work: Any, state: Any) -> float | None:
        return math.nan if work.round == 2 else float(state.score())

    # A score that JSON cannot hold never gets into a record.
    def broken(work: Any, state: Any) -> float | None:
        found = score(work, state)
        return None if found is None or math.isnan(found) else found

    for _ in range(2):
        with pytest.raises(WorkFailed, match="all 3 members diverged"):
            light.population(tmp_path, score=broken)
    assert len(read_lineage(tmp_path).rounds) == 1
    assert not (tmp_path / "result.json").exists()


def test_an_old_checkpoint_counts_until_its_successor_is_on_the_disk(
    tmp_path: Path, light: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the power goes: what replaced it is named as it should be, and holds nothing."""
    light.population(tmp_path / "whole", deferred=True)
    monkeypatch.setattr(Member, "_flush", lambda self, live: None)

    def enough(work: Any, state: Any) -> float:
        if (work.round, work.member) == (2, 1):
            raise KeyboardInterrupt
        return float(state.score())

    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        light.population(folder, score=enough, deferred=True)
    place = folder / "members" / "0" / "checkpoints"
    (live,) = newest_first(place)
    assert list(place.glob(".*.old"))
    for file in live.iterdir():
        file.write_bytes(b"")
    monkeypatch.undo()
    light.population(folder, deferred=True)
    assert light.outcome(folder) == light.outcome(tmp_path / "whole")


def test_a_damaged_checkpoint_is_named(tmp_path: Path, light: ModuleType) -> None:
    def enough(work: Any, state: Any) -> float:
        if work.round == 3:
            raise KeyboardInterrupt
        return float(state.score())

    with pytest.raises(KeyboardInterrupt):
        light.population(tmp_path, score=enough)
    (live,) = newest_first(tmp_path / "members" / "0" / "checkpoints")
    (live / "weights").write_text("other")
    with pytest.raises(WorkFailed, match=r"members/0/checkpoints/step-\d+ is damaged"):
        light.population(tmp_path)
