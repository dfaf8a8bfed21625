"""Cells that fail, diverge, are stopped, are in use elsewhere, or are not needed any more."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych.compare import Sequential
from triptych.compare.describe import describe
from triptych.compare.folder import open_folder
from triptych.compare.run import compare
from triptych.errors import InUse, Stopped, UserError, WorkFailed
from triptych.run import Run
from triptych.stats import Comparand, judge_sequential
from triptych.stopping import StopRequest

CELLS = [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def raises(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_all_arms_of_a_seed_come_before_the_next_seed(fake: Any, tmp_path: Path) -> None:
    compare(fake.comparison(), tmp_path / "c")
    assert fake.calls == CELLS
    compare(fake.comparison(), tmp_path / "c")
    assert fake.calls == CELLS  # what has a result is not run again


@pytest.mark.parametrize("when", ["early", "inside"])
def test_a_failed_cell_is_on_record_the_others_go_on_and_it_is_run_again(
    fake: Any, tmp_path: Path, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "c"
    fake.acts["b", 0] = {when: raises(MemoryError("not enough\nmemory"))}
    with (
        caplog.at_level(logging.WARNING),
        pytest.raises(WorkFailed, match=r"^1 cells of .* failed .*run.* again with the same seeds"),
    ):
        compare(fake.comparison(), folder)
    assert fake.calls == CELLS
    record = folder / "b" / "seed-0.failed.json"
    assert json.loads(record.read_text()) == {"error": "MemoryError: not enough memory"}
    assert "b seed 0 failed: MemoryError: not enough memory" in caplog.text
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["arms"]["b"]["states"] == {
        "0": "failed: MemoryError: not enough memory",
        "1": "done",
        "2": "done",
    }
    assert verdict["arms"]["b"]["scores"]["0"] is None
    (pair,) = verdict["pairs"]
    assert (pair["verdict"], pair["interval"]) == ("undecided", None)
    assert "b seed 0: failed: MemoryError" in describe(verdict)

    fake.acts.clear()
    fake.calls.clear()
    mended = compare(fake.comparison(), folder)
    assert fake.calls == [("b", 0)]
    assert not record.exists()
    assert mended["arms"]["b"]["states"]["0"] == "done"
    untouched = compare(fake.comparison(), tmp_path / "untouched")
    assert mended == untouched


def test_where_every_cell_fails_there_is_still_a_verdict_file(fake: Any, tmp_path: Path) -> None:
    for cell in CELLS:
        fake.acts[cell] = {"early": raises(RuntimeError("broken"))}
    with pytest.raises(WorkFailed, match="6 cells"):
        compare(fake.comparison(), tmp_path / "c")
    verdict = json.loads((tmp_path / "c" / "verdict.json").read_text())
    assert set(verdict["arms"]["a"]["states"].values()) == {"failed: RuntimeError: broken"}
    assert verdict["pairs"][0]["verdict"] == "undecided"
    assert "a seed 2: failed: RuntimeError: broken" in describe(verdict)


def test_weights_that_cannot_be_had_are_known_before_the_first_training(
    fake: Any, tmp_path: Path
) -> None:
    asked = fake.comparison()
    arms = {"a": asked.arms["a"], "b": replace(asked.arms["b"], init="nowhere")}
    lost = replace(asked, arms=arms, varies=asked.varies | {"init"})
    with pytest.raises(WorkFailed, match=r"nowhere\.pth cannot be downloaded"):
        compare(lost, tmp_path / "c")
    assert (fake.calls, fake.needed) == ([], ["a", "b"])
    assert not (tmp_path / "c").exists()  # so that the same folder takes the mended request


def test_an_arm_with_a_result_is_not_asked_for_its_weights(fake: Any, tmp_path: Path) -> None:
    compare(fake.comparison(), tmp_path / "c")
    fake.needed.clear()
    compare(fake.comparison(seeds=(0, 1, 2, 3)), tmp_path / "c")
    assert fake.needed == []
    shutil.rmtree(tmp_path / "c" / "b")
    compare(fake.comparison(), tmp_path / "c")
    assert fake.needed == ["b"]


def test_a_wrong_request_ends_the_work_at_once(fake: Any, tmp_path: Path) -> None:
    fake.acts["b", 0] = {"early": raises(UserError("no such folder"))}
    with pytest.raises(UserError, match="no such folder"):
        compare(fake.comparison(), tmp_path / "c")
    assert fake.calls == CELLS[:2]
    assert not (tmp_path / "c" / "b").exists()


def test_a_diverged_cell_stays_in_n_is_shown_and_forbids_equivalence(
    fake: Any, tmp_path: Path
) -> None:
    alike = fake.comparison(0.5, 0.5005, margin=0.2)
    sound = compare(alike, tmp_path / "sound")
    assert sound["pairs"][0]["verdict"] == "equivalent"
    fake.diverged.add(("b", 1))
    verdict = compare(alike, tmp_path / "c")
    arm = verdict["arms"]["b"]
    assert (arm["n"], arm["diverged"], arm["states"]["1"]) == (3, 1, "diverged")
    assert arm["scores"] == sound["arms"]["b"]["scores"]
    (pair,) = verdict["pairs"]
    assert pair["verdict"] == "undecided"
    assert pair["p_equivalence"] == sound["pairs"][0]["p_equivalence"]
    assert "b: 1 of 3 diverged" in pair["warnings"]
    text = describe(verdict)
    assert "1 of 3 diverged" in text
    assert "b seed 1: diverged" in text
    fake.calls.clear()
    compare(alike, tmp_path / "c")
    assert fake.calls == []  # divergence is a result: it is not run again


def sequential(fake: Any, n_max: int, *qualities: float, **changes: Any) -> Any:
    return fake.comparison(
        *qualities, seeds=tuple(range(n_max)), until_decided=Sequential(n_max), **changes
    )


def first_decision(fake: Any, asked: Any) -> int:
    """The first number of seeds at which the statistics decide all pairs."""
    n_max = asked.until_decided.n_max
    for n in range(3, n_max + 1):
        if all(j.verdict != "undecided" for j in judged(fake, asked, n)):
            return n
    raise AssertionError("never decided")


def judged(fake: Any, asked: Any, n: int) -> Any:
    pairs = [
        Comparand(
            arm,
            base,
            fake.scores(asked.arms[arm], range(n)),
            fake.scores(asked.arms[base], range(n)),
        )
        for arm, base in asked.judged()
    ]
    return judge_sequential(pairs, asked.margin, asked.until_decided.n_max)


@pytest.mark.parametrize("qualities", [(0.5, 0.6), (0.5, 0.52), (0.5, 0.6, 0.525)])
def test_the_sequential_plan_stops_where_the_rule_decides(
    fake: Any, tmp_path: Path, qualities: tuple[float, ...]
) -> None:
    asked = sequential(fake, 12, *qualities)
    n = first_decision(fake, asked)
    assert 3 <= n < 12
    verdict = compare(asked, tmp_path / "c")
    assert fake.calls == [(arm, seed) for seed in range(n) for arm in asked.arms]
    for found, expected in zip(verdict["pairs"], judged(fake, asked, n), strict=True):
        assert {key: found[key] for key in expected.as_dict()} == expected.as_dict()
    assert verdict["plan"] == {
        "kind": "sequential",
        "n_max": 12,
        "seeds": list(range(12)),
        "shown": list(range(n)),
    }
    assert "missing" not in describe(verdict)
    fake.calls.clear()
    assert compare(asked, tmp_path / "c") == verdict
    assert fake.calls == []


def test_the_cases_above_are_not_all_decided_at_the_first_look(fake: Any) -> None:
    assert first_decision(fake, sequential(fake, 12, 0.5, 0.6)) == 3
    assert first_decision(fake, sequential(fake, 12, 0.5, 0.52)) > 3


def test_an_undecided_sequential_plan_runs_all_its_seeds_and_plans(
    fake: Any, tmp_path: Path
) -> None:
    asked = sequential(fake, 4, 0.5, 0.503, margin=0.004)
    verdict = compare(asked, tmp_path / "c")
    assert len(fake.calls) == 8
    (pair,) = verdict["pairs"]
    assert pair["verdict"] == "undecided"
    assert pair["seeds_needed"]["low"] < pair["seeds_needed"]["seeds"]
    assert pair["seeds_needed"]["seeds"] < pair["seeds_needed"]["high"]


def test_a_failure_in_a_sequential_plan_does_not_start_all_other_seeds(
    fake: Any, tmp_path: Path
) -> None:
    asked = sequential(fake, 12, 0.5, 0.6)
    fake.acts["b", 1] = {"inside": raises(RuntimeError("broken"))}
    with pytest.raises(WorkFailed, match="1 cells"):
        compare(asked, tmp_path / "c")
    assert fake.calls == CELLS  # up to the first look, not beyond
    fake.acts.clear()
    verdict = compare(asked, tmp_path / "c")
    assert fake.calls == [*CELLS, ("b", 1)]
    assert verdict["pairs"][0]["verdict"] == "better"
    assert verdict == compare(asked, tmp_path / "untouched")


def test_a_stop_between_two_cells(fake: Any, tmp_path: Path) -> None:
    stop = StopRequest()
    stop_now = lambda: setattr(stop, "_signal", 15)  # noqa: E731
    fake.acts["b", 0] = {"after": stop_now}
    with pytest.raises(Stopped, match=r"SIGTERM before a seed 1; run the same command again"):
        compare(fake.comparison(), tmp_path / "c", stop=stop)
    assert fake.calls == CELLS[:2]
    half = json.loads((tmp_path / "c" / "verdict.json").read_text())
    assert half["arms"]["a"]["states"] == {"0": "done", "1": "missing", "2": "missing"}
    whole = compare(fake.comparison(), tmp_path / "c")
    assert whole == compare(fake.comparison(), tmp_path / "other")


def test_a_stop_within_a_cell(fake: Any, tmp_path: Path) -> None:
    stop = StopRequest()
    fake.acts["b", 0] = {"inside": lambda: setattr(stop, "_signal", 15)}
    with pytest.raises(Stopped, match="stopped by SIGTERM"):
        compare(fake.comparison(), tmp_path / "c", stop=stop)
    assert fake.calls == CELLS[:2]
    assert not list((tmp_path / "c").rglob("*.failed.json"))
    half = json.loads((tmp_path / "c" / "verdict.json").read_text())
    assert half["arms"]["b"]["states"]["0"] == "begun"


def test_a_cell_in_use_is_left_to_its_process(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    place = tmp_path / "c" / "b" / "seed-1"
    open_folder(tmp_path / "c", asked)
    with (
        Run.open(place, asked.arms["b"], 1, {"train": "made up"}),
        pytest.raises(Stopped, match=r"1 cells of .* in the hands of other processes") as caught,
    ):
        compare(asked, tmp_path / "c")
    assert caught.value.exit_code == 3
    assert fake.calls == CELLS  # all others were run
    assert not (place / "result.json").exists()
    assert not list((tmp_path / "c").rglob("*.failed.json"))
    assert compare(asked, tmp_path / "c") == compare(asked, tmp_path / "alone")


def test_a_cell_that_another_process_ended_meanwhile_is_not_missing(
    fake: Any, tmp_path: Path
) -> None:
    asked = fake.comparison()
    whole = compare(asked, tmp_path / "alone")
    ended = tmp_path / "c" / "a" / "seed-1"
    fake.acts["a", 1] = {"inside": raises(InUse("another process is at work"))}
    last = {
        "inside": lambda: shutil.copytree(tmp_path / "alone/a/seed-1", ended, dirs_exist_ok=True)
    }
    fake.acts["b", 2] = last
    assert compare(asked, tmp_path / "c") == whole


def test_a_sequential_plan_waits_for_cells_in_use(fake: Any, tmp_path: Path) -> None:
    asked = sequential(fake, 12, 0.5, 0.6)
    fake.acts["b", 2] = {"inside": raises(Stopped("as a process that works at it would"))}
    with pytest.raises(Stopped):
        compare(asked, tmp_path / "c")
    fake.acts.clear()
    fake.calls.clear()
    with (
        Run.open(tmp_path / "c" / "b" / "seed-2", asked.arms["b"], 2, {"train": "made up"}),
        pytest.raises(Stopped, match="in the hands of other processes"),
    ):
        compare(asked, tmp_path / "c")
    assert fake.calls == [("b", 2)]


def test_an_unknown_model_is_refused_before_anything_is_trained(fake: Any, tmp_path: Path) -> None:
    asked = fake.comparison()
    wrong = replace(asked.arms["b"], model="unknown")
    asked = replace(asked, arms={"a": asked.arms["a"], "b": wrong}, varies=asked.varies | {"model"})
    with pytest.raises(UserError, match="no model is called 'unknown'"):
        compare(asked, tmp_path / "c")
    assert fake.calls == []
    assert not (tmp_path / "c").exists()
