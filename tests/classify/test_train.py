"""Training a classifier in this process: what it learns, logs, refuses and says of divergence."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from triptych import recipe as recipes
from triptych.audit import audit_run
from triptych.classify.evaluate import read_items, scores_of
from triptych.classify.recipes import ClassifyRecipe
from triptych.classify.train import open_splits, soft_cross_entropy, train
from triptych.errors import Stopped, UserError
from triptych.stopping import StopRequest
from triptych.training.schedules import rate


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Pictures of three classes that differ in colour and noise, 16x16."""
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for split, count in (("train", 16), ("val", 8), ("test", 8)):
        for index, name in enumerate(("red", "green", "blue")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.normal(90, 50, (16, 16, 3))
                pixels[..., index] += 80
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(root / split / name / f"{number}.png")
    return f"folder:{root}"


def tiny(data: str, *settings: str) -> ClassifyRecipe:
    torch.set_num_threads(1)
    small = [f"data={data}", "epochs=2", "batch_size=8"]
    found = recipes.override(recipes.get("classify/tiny"), [*small, *settings])
    assert isinstance(found, ClassifyRecipe)
    return found


def run(recipe: ClassifyRecipe, out: Path, seed: int = 0, **options: Any) -> dict[str, Any]:
    return train(recipe, seed, out, device="cpu", show_progress=False, **options)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("model", ["resnext-tiny", "vit-tiny"])
def test_it_learns_and_its_result_is_its_evaluation(tmp_path: Path, data: str, model: str) -> None:
    recipe = tiny(data, f"model={model}", "epochs=10", "evaluate_every=5", "augmentation=none")
    result = run(recipe, tmp_path / "run")
    assert result["scores"]["top1"] > 0.8
    assert result["scores"]["top5"] == 1
    assert result == json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["epochs"], result["updates"], result["samples"]) == (10, 60, 480)
    assert not result["diverged"]
    assert result["data"] == "folder test"
    assert result["training_GFLOP"] == round(6 * result["MACs"] * 480 / 1e9, 1)
    for split, prefix in (("test", ""), ("val", "val_")):
        folder = tmp_path / "run" / "evaluations" / f"folder-{split}"
        scores = scores_of(read_items(folder / "items.parquet"))
        for name in ("top1", "top5", "loss"):
            assert scores[name] == result["scores"][prefix + name]
        assert json.loads((folder / "scores.json").read_text())["top1"] == scores["top1"]
    assert run(recipe, tmp_path / "run") == result  # nothing is done twice


def test_the_log_has_each_epoch_and_test_once(tmp_path: Path, data: str) -> None:
    run(tiny(data, "epochs=5", "evaluate_every=2"), tmp_path)
    found = [(event["split"], event["epoch"], event["step"]) for event in events(tmp_path)]
    assert found == [
        ("train", 1, 6), ("train", 2, 12), ("val", 2, 12), ("train", 3, 18), ("train", 4, 24),
        ("val", 4, 24), ("train", 5, 30), ("val", 5, 30), ("test", 5, 30),
    ]  # fmt: skip
    train_events = [event for event in events(tmp_path) if event["split"] == "train"]
    assert all(math.isfinite(event["loss"]) for event in train_events)


def test_seeds_differ_and_the_same_seed_does_not(tmp_path: Path, data: str) -> None:
    recipe = tiny(data)
    found = [run(recipe, tmp_path / str(i), seed)["scores"] for i, seed in enumerate((0, 0, 1))]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("model", ["resnext-tiny", "vit-tiny"])
def test_a_run_that_diverges_is_scored_at_chance_and_says_so(
    tmp_path: Path, data: str, model: str
) -> None:
    recipe = tiny(data, "lr=1e6", "epochs=20", "warmup=0", "weight_decay=0.1", f"model={model}")
    result = run(recipe, tmp_path / "run")
    assert result["diverged"] is True
    assert result["epochs"] < 20  # what is broken is not trained on
    assert result["samples"] == 48 * result["epochs"]
    for prefix in ("", "val_"):
        assert result["scores"][f"{prefix}top1"] == pytest.approx(1 / 3)
        assert result["scores"][f"{prefix}top5"] == 1
        assert result["scores"][f"{prefix}loss"] == pytest.approx(math.log(3))
    (broken,) = [e for e in events(tmp_path / "run") if e["split"] == "train"][-1:]
    assert broken["loss"] is None
    assert audit_run(tmp_path / "run")
    assert run(recipe, tmp_path / "run") == result


def test_weights_that_break_in_the_last_update_are_noticed(tmp_path: Path, data: str) -> None:
    # One update only: its loss is finite, what it does to the weights is not.
    recipe = tiny(
        data, "lr=1e36", "warmup=0", "weight_decay=0", "epochs=1", "batch_size=48",
        "model=vit-tiny",
    )  # fmt: skip
    result = run(recipe, tmp_path)
    assert math.isfinite(events(tmp_path)[0]["loss"])
    assert result["scores"]["top1"] == pytest.approx(1 / 3)
    assert result["diverged"] is True


def test_stopped_and_gone_on_with(tmp_path: Path, data: str) -> None:
    recipe = tiny(data)
    with pytest.raises(Stopped, match=r"--max-minutes 1e-09 at step 1 of 12"):
        run(recipe, tmp_path / "run", stop=StopRequest(max_minutes=1e-9))
    assert not (tmp_path / "run" / "result.json").exists()
    found, whole = run(recipe, tmp_path / "run"), run(recipe, tmp_path / "whole")
    assert found["scores"] == whole["scores"]
    assert (tmp_path / "run" / "audit.json").read_bytes() == (
        tmp_path / "whole" / "audit.json"
    ).read_bytes()


def test_a_folder_keeps_its_recipe_seed_and_data(tmp_path: Path, data: str) -> None:
    recipe = tiny(data)
    run(recipe, tmp_path / "run")
    with pytest.raises(UserError, match=r"its lr is 0\.004, yours is 0\.1"):
        run(replace(recipe, lr=0.1), tmp_path / "run")
    with pytest.raises(UserError, match="its seed is 0, yours is 1"):
        run(recipe, tmp_path / "run", 1)
    with pytest.raises(UserError, match="its train_images is None, yours is 40"):
        run(replace(recipe, train_images=40), tmp_path / "run")


def test_part_of_the_training_images_is_the_same_for_all_seeds(data: str) -> None:
    whole = open_splits(tiny(data))
    part = open_splits(tiny(data, "train_images=10"))
    other = open_splits(tiny(data, "train_images=10", "split_seed=1"))
    assert len(whole["train"]) == 48
    assert len(part["train"]) == 10
    assert set(part["train"].keys) < set(whole["train"].keys)
    assert part["train"].keys != other["train"].keys
    assert part["train"].classes == whole["train"].classes
    more = open_splits(tiny(data, "train_images=20"))
    assert more["train"].keys[:10] == part["train"].keys
    for name in ("val", "test"):
        assert part[name].keys == whole[name].keys
    with pytest.raises(UserError, match=r"train_images is 49, but .* has 48"):
        open_splits(tiny(data, "train_images=49"))


def test_a_batch_larger_than_the_data_is_one_smaller_batch(tmp_path: Path, data: str) -> None:
    result = run(tiny(data, "batch_size=500"), tmp_path)
    assert (result["updates"], result["samples"]) == (2, 96)


def test_the_soft_loss_is_torchs() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=draw)
    targets = torch.rand(6, 5, generator=draw).softmax(dim=1)
    expected = nn.functional.cross_entropy(logits, targets)
    assert torch.allclose(soft_cross_entropy(logits, targets), expected)


def test_the_rate_rises_falls_and_stays_above_0(data: str) -> None:
    recipe = tiny(data, "lr=0.5", "warmup=0.2")
    rates = [rate(recipe, step, 100) for step in range(100)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(0.25)
    assert max(rates) == rates[20] == 0.5
    assert rates[60] == pytest.approx(0.25)
    assert 0 < rates[99] < 0.001
