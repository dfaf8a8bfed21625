"""`classify` behind the core's one record: a run's items, and predictions made from a run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from triptych import recipe as recipes
from triptych import study
from triptych.classify.evaluate import logits_of
from triptych.classify.models import create
from triptych.compare import Comparison, Predictions
from triptych.compare.run import compare
from triptych.data.open_images import open_images
from triptych.run import newest_checkpoint, read_json

CLASSIFY = study.get("classify")
CLASSES = ("one", "two", "three", "four", "five", "six")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for index, name in enumerate(CLASSES):
            (root / split / name).mkdir(parents=True)
            for number in range(6):
                pixels = draw.normal(40 + 30 * index, 60, (16, 16, 3)).clip(0, 255)
                Image.fromarray(pixels.astype(np.uint8)).save(root / split / name / f"{number}.png")
    return f"folder:{root}"


@pytest.fixture(scope="module")
def run(data: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    torch.set_num_threads(1)
    settings = [f"data={data}", "epochs=3", "batch_size=12", "model=vit-tiny"]
    recipe = recipes.override(recipes.get("classify/tiny"), settings)
    out = tmp_path_factory.mktemp("run") / "run"
    return out, CLASSIFY.train(recipe, 0, out, device="cpu", show_progress=False)


@pytest.mark.parametrize("metric", sorted(CLASSIFY.metrics))
def test_a_runs_items_average_to_its_score(run: tuple[Path, dict[str, Any]], metric: str) -> None:
    folder, result = run
    items = CLASSIFY.run_items(folder, metric)
    assert items is not None
    assert items.groups is None
    assert len(items.keys) == 36
    assert items.keys[0].startswith("val/" if metric.startswith("val_") else "test/")
    assert items.score() == pytest.approx(result["scores"][metric], abs=1e-12)


def test_a_run_without_an_evaluation_has_no_items(tmp_path: Path) -> None:
    assert CLASSIFY.run_items(tmp_path, "top1") is None


def test_losses_are_better_when_lower() -> None:
    lower = {name for name, higher in CLASSIFY.metrics.items() if not higher}
    assert lower == {"loss", "val_loss"}


def export(run: Path, data: str, file: Path, kind: str) -> None:
    """What another program would write that has the run's weights."""
    from safetensors.torch import load_file

    model = create("vit-tiny", classes=len(CLASSES), image_size=16)
    model.load_state_dict(load_file(newest_checkpoint(run) / "model.safetensors"))
    images = open_images(data, "test")
    scores = logits_of(model, torch.from_numpy(images.pixels))
    if kind == "probabilities":
        scores = scores.double().softmax(dim=1)
    order = [3, 0, 5, 1, 4, 2]
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["key", *(images.classes[i] for i in order)])
        for key, row in sorted(zip(images.keys, scores.tolist(), strict=True), reverse=True):
            writer.writerow([key, *(row[i] for i in order)])


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_a_runs_own_exported_scores_score_the_same(
    run: tuple[Path, dict[str, Any]], data: str, tmp_path: Path, kind: str
) -> None:
    folder, result = run
    export(folder, data, tmp_path / "scores.csv", kind)
    arm = Predictions(str(tmp_path / "scores.csv"))
    for metric in ("top1", "top5", "loss"):
        mine = CLASSIFY.run_items(folder, metric)
        items = CLASSIFY.predict_items(arm, data, "test", metric, tmp_path / "evaluation")
        assert mine is not None
        assert items.keys == mine.keys
        assert items.values == pytest.approx(mine.values, rel=1e-4)
        assert items.score() == pytest.approx(result["scores"][metric], rel=1e-5)
    assert 0 < result["scores"]["top1"] < 1


def test_two_files_of_scores_are_compared_by_images(
    run: tuple[Path, dict[str, Any]], data: str, tmp_path: Path
) -> None:
    export(run[0], data, tmp_path / "run.csv", "logits")
    images = open_images(data, "test")
    with (tmp_path / "guess.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["key", *images.classes])
        writer.writerows([key, 1, 0, 0, 0, 0, 0] for key in images.keys)
    asked = Comparison(
        question="Better than a guess?",
        arms={name: Predictions(str(tmp_path / f"{name}.csv")) for name in ("guess", "run")},
        varies=frozenset(),
        seeds=(),
        metric="top1",
        margin=0.05,
        beside=("top5", "loss"),
        data=data,
        split="test",
    )
    verdict = compare(asked, tmp_path / "c", show_progress=False)
    assert verdict["study"] == "classify"
    assert verdict["arms"]["guess"]["score"] == pytest.approx(1 / 6)
    assert verdict["arms"]["run"]["score"] == run[1]["scores"]["top1"]
    (pair,) = verdict["pairs"]
    assert pair["difference"] == pytest.approx(run[1]["scores"]["top1"] - 1 / 6)
    assert pair["interval"]["low"] < pair["difference"] < pair["interval"]["high"]
    top5, loss = pair["beside"]
    assert (top5["score"], loss["score"]) == ("top5", "loss")
    assert top5["of_arm"] == pytest.approx(run[1]["scores"]["top5"])
    assert loss["of_arm"] == pytest.approx(run[1]["scores"]["loss"], rel=1e-5)
    assert loss["interval"]["low"] < loss["difference"] < loss["interval"]["high"]
    assert {line["finding"] for line in verdict["audit"]} == {"unknown"}


def test_top5_beside_top1_of_runs(data: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    settings = [f"data={data}", "epochs=1", "batch_size=12", "model=vit-tiny"]
    arms = {
        name: recipes.override(recipes.get("classify/tiny"), [*settings, f"lr={lr}"])
        for name, lr in (("slow", 1e-4), ("fast", 1e-3))
    }
    asked = Comparison(
        question="Faster or slower?",
        arms=dict(arms),
        varies=frozenset({"lr"}),
        seeds=(0, 1, 2),
        metric="top1",
        margin=0.05,
        beside=("top5", "val_loss"),
    )
    verdict = compare(asked, tmp_path / "c", device="cpu", show_progress=False)
    top5, loss = verdict["pairs"][0]["beside"]
    results = [read_json(tmp_path / f"c/fast/seed-{seed}/result.json") for seed in range(3)]
    for found, name in ((top5, "top5"), (loss, "val_loss")):
        scores = [result["scores"][name] for result in results]
        assert found["of_arm"]["mean"] == pytest.approx(np.mean(scores))
        assert found["by_group"] is None
    assert loss["interval"]["method"] == "Welch t over seeds"


def test_an_evaluation_has_items_of_its_own_scores_alone(
    run: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    (place,) = (run[0] / "evaluations").glob("*-test")
    assert CLASSIFY.evaluation_items(place, "top5") is not None
    assert CLASSIFY.evaluation_items(place, "val_top5") is None
    assert CLASSIFY.evaluation_items(tmp_path, "top5") is None
