"""Training an inverse network: it learns, goes on after a kill, and says what it reached."""

from __future__ import annotations

import json
import multiprocessing
import runpy
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from triptych import recipe as recipes
from triptych import study
from triptych.audit import audit_run
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.run import newest_checkpoint
from triptych.segment.inverse.measure import measure
from triptych.segment.inverse.networks import InverseNet
from triptych.segment.inverse.pairs import Boundaries
from triptych.segment.inverse.recipe import InverseRecipe, inverse
from triptych.segment.inverse.shipped import ship, shipped_network, trained_network
from triptych.segment.inverse.train import start

CHILD = Path(__file__).with_name("train_child.py")


def run_child(folder: Path, die_at: int = 0) -> int | None:
    """The exit code of a training in another process."""
    server = multiprocessing.get_context("forkserver")
    given = {"FOLDER": str(folder), "DIE_AT": die_at}
    process = server.Process(target=runpy.run_path, args=(str(CHILD), given, "train_child"))
    process.start()
    process.join()
    return process.exitcode


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run_child(folder) == 0
    return folder


def outcome(folder: Path) -> dict[str, Any]:
    result = json.loads((folder / "result.json").read_text())
    assert result.pop("times")["seconds"] > 0
    checkpoint = newest_checkpoint(folder)
    return {
        "result": result,
        **{name: (folder / name).read_bytes() for name in ("metrics.jsonl", "audit.json")},
        **{file.name: file.read_bytes() for file in checkpoint.glob("*.safetensors")},
    }


def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "run"
    for die_at in (3, 4):  # in the first epoch, then in the second
        assert run_child(folder, die_at) == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    assert run_child(folder) == 0
    assert outcome(folder) == outcome(whole)


def test_the_result_of_a_run(whole: Path) -> None:
    result = json.loads((whole / "result.json").read_text())
    assert set(result["scores"]) == {"relative_error", "degraded_error", "ranking"}
    assert (result["epochs"], result["updates"], result["samples"]) == (2, 8, 48)
    assert set(result["by_coefficient"]) >= {"shift_x", "perspective_y"}
    findings = {line.about: line.finding for line in audit_run(whole)}
    assert "flaw" not in findings.values()
    assert study.get("segment").run_items(whole, "relative_error") is None


def test_the_study_dispatches_on_the_recipe(tmp_path: Path) -> None:
    segment = study.get("segment")
    recipe = recipes.override(
        recipes.get("segment/inverse"),
        ["data=streets:scenes=1,frames=1,size=128x112", "val_data=none", "epochs=1", "pairs=8",
         "batch_size=8", "val_pairs=4", "rotation=0"],
    )  # fmt: skip
    segment.check(recipe)
    result = segment.train(recipe, 0, tmp_path / "run", device="cpu", show_progress=False)
    assert result["recipe"] == "segment/inverse"
    assert result["by_coefficient"]["rotation"] is None
    assert result["by_coefficient"]["shift_x"] > 0
    assert segment.metrics["relative_error"] is False
    assert "relative_error" in study.describe_result(result)


def test_what_is_shipped_is_the_runs_network_in_half_precision(tmp_path: Path, whole: Path) -> None:
    file = tmp_path / "weights" / "inverse.safetensors"
    ship(whole, file)
    assert file.stat().st_size < 600_000
    from safetensors import safe_open

    network = trained_network(whole)
    with safe_open(file, "pt") as opened:
        assert json.loads(opened.metadata()["recipe"])["seed"] == 3
        for name, value in network.state_dict().items():
            torch.testing.assert_close(opened.get_tensor(name).float(), value, rtol=1e-3, atol=1e-6)
    with pytest.raises(UserError, match="is no run of an inverse network"):
        ship(tmp_path, file)


class Oracle(InverseNet):
    """Answers what a closure says, for measuring the measure."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        return self.answer.expand(len(predicted), 8)


@pytest.fixture(scope="module")
def maps() -> Boundaries:
    return Boundaries(open_data("streets:scenes=6,frames=1,size=240x180,seed=5", "val"), 400)


@pytest.fixture(scope="module")
def recipe() -> InverseRecipe:
    return replace(inverse(), val_pairs=192)


def test_answering_identity_has_error_1_and_ranks_nothing(
    maps: Boundaries, recipe: InverseRecipe
) -> None:
    scores = measure(Oracle(torch.zeros(1, 8)), maps, recipe)
    assert scores["relative_error"] == scores["degraded_error"] == 1
    assert set(scores["by_coefficient"].values()) == {1.0}
    assert scores["ranking"] == 0  # no two distances differ


@pytest.mark.parametrize("answer", [float("nan"), float("inf")])
def test_a_network_that_diverged_is_at_chance(
    maps: Boundaries, recipe: InverseRecipe, answer: float
) -> None:
    scores = measure(Oracle(torch.full((1, 8), answer)), maps, recipe)
    assert scores["relative_error"] == scores["degraded_error"] == 1
    assert set(scores["by_coefficient"].values()) == {1.0}
    assert scores["ranking"] == 0.5


def test_a_training_that_diverges_keeps_its_place_in_n(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe: Any = recipes.override(
        recipes.get("segment/inverse"),
        ["data=streets:scenes=1,frames=1,size=128x112", "val_data=none", "epochs=2", "pairs=8",
         "batch_size=8", "val_pairs=4"],
    )  # fmt: skip

    def broken(*asked: Any) -> Any:
        state = start(*asked)
        next(state.model.parameters()).data.fill_(float("nan"))
        return state

    monkeypatch.setattr("triptych.segment.inverse.train.start", broken)
    result = study.get("segment").train(recipe, 0, tmp_path / "run", show_progress=False)
    assert (result["diverged"], result["epochs"]) == (True, 1)
    assert result["scores"] == {"relative_error": 1.0, "degraded_error": 1.0, "ranking": 0.5}
    assert set(result["by_coefficient"].values()) == {1.0}


def test_the_shipped_network_is_better_than_identity_and_ranks(
    maps: Boundaries, recipe: InverseRecipe
) -> None:
    scores = measure(shipped_network(), maps, recipe)
    assert scores["relative_error"] < 0.65
    assert scores["degraded_error"] < 0.7
    assert scores["ranking"] > 0.95
    shifts = scores["by_coefficient"]
    assert max(shifts["shift_x"], shifts["shift_y"], shifts["rotation"]) < 0.5


def test_data_without_frames_for_tiles_is_one_clear_line(tmp_path: Path) -> None:
    recipe = recipes.override(recipes.get("segment/inverse"), ["data=streets:scenes=0"])
    with pytest.raises(UserError, match="scenes"):
        study.get("segment").train(recipe, 0, tmp_path / "run", show_progress=False)
