"""Segmentation models that a file of the user's makes: shapes, input, weights, runs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from triptych import own_code
from triptych import recipe as recipes
from triptych.data.classes import CITYSCAPES
from triptych.errors import UserError
from triptych.normalisation import IMAGENET, Normalisation
from triptych.segment.models import create, entry, from_file, is_name
from triptych.segment.network import network_name, open_network, untrained_network
from triptych.segment.open_labeller import open_labeller
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.study import check
from triptych.segment.train import train
from triptych.training.cost import macs

SOURCE = """
import torch
from torch import nn
from triptych.normalisation import Normalisation

def build(classes):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, classes, 3, 2, 1)
    )

def full(classes):
    return nn.Conv2d(3, classes, 1)

def halves(classes):
    model = full(classes)
    model.normalisation = Normalisation((0.5,) * 3, (0.25,) * 3, 1 / 255)
    return model

def wrong_input(classes):
    model = full(classes)
    model.normalisation = Normalisation((0.5, 0.5), (0.25,) * 3)
    return model

def no_input(classes):
    model = full(classes)
    model.normalisation = {"mean": (0.5,) * 3}
    return model

def one_more(classes):
    return full(classes + 1)

def flat(classes):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, classes))

def large(classes):
    return nn.ConvTranspose2d(3, classes, 2, 2)

def lazy(classes):
    return nn.LazyConv2d(classes, 1)

class Out(nn.Conv2d):
    def forward(self, x):
        return {"out": super().forward(x)}

def named(classes):
    return Out(3, classes, 1)

class Even(nn.Conv2d):
    def forward(self, x):
        if x.shape[-1] % 32:
            raise ValueError("multiples of 32 only")
        return super().forward(x)

def even(classes):
    return Even(3, classes, 1)
"""
DATA = "streets:scenes=2,frames=2,size=72x40"


def recipe_of(model: str, *more: str) -> SegmentRecipe:
    settings = [
        f"model={model}", f"data={DATA}", "val_data=none", "epochs=1", "batch_size=2", *more
    ]  # fmt: skip
    found = recipes.override(recipes.get("segment/tiny"), settings)
    assert isinstance(found, SegmentRecipe)
    return found


@pytest.mark.parametrize("size", [(32, 48), (33, 47)])
def test_smaller_logits_are_resized_to_the_picture(mine: str, size: tuple[int, int]) -> None:
    model = create(f"{mine}:build", 5).eval()
    assert isinstance(model, from_file.FileModel)
    images = torch.randn(2, 3, *size)
    with torch.inference_mode():
        small = model.network(images)
        wanted = F.interpolate(small, size=size, mode="bilinear", align_corners=False)
        assert small.shape[-1] == -(-size[1] // 4)
        assert torch.equal(model(images), wanted)
        assert torch.equal(model.forward_train(images)["logits"], wanted)
        full = create(f"{mine}:full", 5)
        assert torch.equal(full(images), full.get_submodule("network")(images))
    assert all(module.training for module in create(f"{mine}:build", 5).modules())


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("one_more", r"shape \(1, 6, 24, 40\): with 5 classes it must be \(N, 5, height, width\)"),
        ("flat", r"shape \(1, 5\): with 5 classes"),
        (
            "large",
            r"shape \(1, 5, 48, 80\) for one image of 40x24 pixels: .* or less high and wide",
        ),
        ("named", "gives a dict for an image, not a tensor of logits"),
        ("even", "fails on one image of 40x24 pixels: ValueError: multiples of 32 only"),
    ],
)
def test_what_it_must_do_is_checked_on_one_image(mine: str, function: str, message: str) -> None:
    model = create(f"{mine}:{function}", 5)
    assert isinstance(model, from_file.FileModel)
    with pytest.raises(UserError, match=message) as error:
        model.check(24, 40)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("function", ["one_more", "flat", "named"])
def test_a_wrong_output_is_one_line_whenever_it_comes(mine: str, function: str) -> None:
    with pytest.raises(UserError, match="gives a"):
        create(f"{mine}:{function}", 5)(torch.zeros(2, 3, 8, 8))


def test_what_is_known_of_it(mine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{mine}:build"
    torch.manual_seed(3)
    known = entry(name)
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    assert (known.name, known.outputs, known.classes, known.weights) == (name, 19, CITYSCAPES, None)
    assert known.parameters == sum(p.numel() for p in create(name, 19).parameters())
    assert known.normalisation == IMAGENET
    halves = Normalisation((0.5,) * 3, (0.25,) * 3, 1 / 255)
    assert entry(f"{mine}:halves").normalisation == halves
    assert is_name(name)
    assert network_name(name) == untrained_network(name).name == "mine.py:build"
    # A relative path is one of the folder that is worked in.
    monkeypatch.chdir(Path(mine).parent)
    assert entry("mine.py:full").parameters == 19 * 4
    monkeypatch.chdir("/")
    with pytest.raises(UserError, match=r"there is no file mine\.py"):
        entry("mine.py:full")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("wrong_input", "normalisation must be a triptych.normalisation.Normalisation, with three"),
        ("no_input", "normalisation must be a triptych.normalisation.Normalisation"),
        ("lazy", "layers of unknown size"),
        ("biuld", "did you mean build"),
        ("Out", r"Out\(19\) raises TypeError"),
    ],
)
def test_what_will_not_do_is_refused_by_the_study(mine: str, function: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        check(recipe_of(f"{mine}:{function}"))
    assert "\n" not in str(error.value)


def test_weights_are_given_by_a_file(mine: str, tmp_path: Path) -> None:
    name = f"{mine}:build"
    with pytest.raises(UserError, match="has no published weights"):
        open_network(name)
    model = create(name, 19)
    assert isinstance(model, from_file.FileModel)
    wrapped = nn.ModuleDict({"model": model.network})
    for number, state in enumerate((model, model.network, wrapped)):
        file = tmp_path / f"{number}.pth"
        torch.save(state.state_dict(), file)
        opened = open_network(name, file)
        assert (opened.name, opened.architecture) == ("mine.py:build", name)
        for key, value in model.state_dict().items():
            assert torch.equal(opened.model.state_dict()[key], value)
    torch.save({"0.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "part.pth")
    with pytest.raises(UserError, match=r"of its entries missing \(network\.0\.bias"):
        open_network(name, tmp_path / "part.pth")


@pytest.mark.parametrize(("function", "crop"), [("even", "crop=32,32"), ("large", "crop=none")])
def test_what_does_not_take_the_pictures_leaves_no_folder(
    mine: str, tmp_path: Path, function: str, crop: str
) -> None:
    # The crops of training would do for the first, the pictures to evaluate on do not.
    with pytest.raises(UserError, match="one image of 72x40 pixels"):
        train(recipe_of(f"{mine}:{function}", crop), 0, tmp_path / "run", show_progress=False)
    assert not (tmp_path / "run").exists()


def test_a_run_is_trained_and_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def new_process() -> None:
        monkeypatch.setattr(own_code, "_read", {})
        from_file._entry.cache_clear()

    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    recipe = recipe_of(f"{file}:build", "crop=none", "ema=0.5", "boundary=edges")
    folder = tmp_path / "run" / "seed-0"
    result = train(recipe, 0, folder, device="cpu", show_progress=False)
    alone = create(recipe.model, 19)
    assert result["parameters"] == sum(p.numel() for p in alone.parameters())
    assert result["MACs"] == macs(alone, 40, 72) > 0
    record = json.loads((folder / "recipe.json").read_text())
    assert (set(record["fingerprint"]), set(record["code"])) == ({"train", "val"}, {"mine.py"})
    opened = open_network(str(folder))
    assert (opened.name, opened.architecture) == ("run/seed-0", recipe.model)
    labeller = open_labeller(str(folder), runtime="torch", device="cpu")
    assert labeller.labels(np.zeros((1, 40, 72, 3), np.uint8), []).shape == (1, 40, 72)
    caplog.clear()
    file.write_text(SOURCE.replace("nn.ReLU()", "nn.GELU()"))
    new_process()
    open_network(str(folder))
    (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert "was trained with another" in warning
    assert "changed since: mine.py" in warning
    with pytest.raises(UserError, match=r"has changed since \(mine\.py\)"):
        train(recipe, 0, folder, device="cpu", show_progress=False)
    file.write_text(SOURCE.replace("3, 4, 3, 2, 1", "3, 4, 5, 2, 2"))
    new_process()
    with pytest.raises(UserError, match=r"does not fit .*mine\.py:build with the 19 classes"):
        open_network(str(folder))
    file.unlink()
    with pytest.raises(UserError, match=r"is a run of .*mine\.py:build, and .*mine\.py is missing"):
        open_network(str(folder))
