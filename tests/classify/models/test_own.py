"""Classifiers that a file of the user's makes: shapes, stochastic depth, a whole training."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from triptych import own_code
from triptych import recipe as recipes
from triptych.audit import audit_run
from triptych.classify.models import create, known, set_drop_path
from triptych.classify.recipes import ClassifyRecipe
from triptych.classify.study import check
from triptych.classify.train import train
from triptych.errors import Stopped, UserError
from triptych.stopping import StopRequest
from triptych.training.cost import macs

SOURCE = """
from timm.layers import DropPath
from torch import nn

class Block(nn.Module):
    def __init__(self, drop):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.drop = DropPath(drop)
    def forward(self, x):
        return x + self.drop(self.conv(x))

def net(classes, *blocks):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, 4, 1), nn.BatchNorm2d(4), *blocks, nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(4, classes),
    )

def plain(classes, image_size):
    return net(classes).eval()

def deep(classes, image_size):
    return net(classes, Block(0.1), Block(0.2))

def off(classes, image_size):
    return net(classes, Block(0.0))

def sized(classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size ** 2, classes))

def fixed(classes, image_size):
    return sized(classes, 8)

def short(classes, image_size):
    return net(classes - 1)

def dense(classes, image_size):
    return nn.Conv2d(3, classes, 1)
"""


def rates(model: nn.Module) -> list[float]:
    return [float(m.drop_prob) for m in model.modules() if hasattr(m, "drop_prob")]


@pytest.mark.parametrize("function", ["plain", "sized"])
def test_it_maps_images_to_logits_and_is_to_be_trained(mine: str, function: str) -> None:
    known(f"{mine}:{function}")
    model = create(f"{mine}:{function}", classes=5, image_size=16)
    assert all(module.training for module in model.modules())
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 5)
    torch.manual_seed(4)
    first = create(f"{mine}:{function}", classes=5, image_size=16)
    torch.manual_seed(4)
    second = create(f"{mine}:{function}", classes=5, image_size=16)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            "short",
            r"shape \(1, 4\) for one image of 16x16 pixels: .* 5 classes it must be \(1, 5\)",
        ),
        ("dense", r"shape \(1, 5, 16, 16\) for one image"),
        ("fixed", r"fails on one image of 16x16 pixels: RuntimeError: "),
        ("net", r"fails on one image|net\(5, 16\) raises TypeError"),
        ("gone", "has no function gone"),
    ],
)
def test_what_it_must_do_is_checked_on_one_image(mine: str, function: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        create(f"{mine}:{function}", classes=5, image_size=16)
    assert "\n" not in str(error.value)


def test_the_check_leaves_statistics_as_they_were(mine: str) -> None:
    model = create(f"{mine}:plain", classes=5, image_size=16)
    assert int(model.get_submodule("1").num_batches_tracked) == 0  # type: ignore[call-overload]


class TestStochasticDepth:
    def test_the_recipe_drives_it_in_the_files_proportions(
        self, mine: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        model = create(f"{mine}:deep", classes=5, image_size=16, drop_path=0.2)
        assert rates(model) == pytest.approx([0.1, 0.2])
        assert not caplog.records
        set_drop_path(model, 0.5)
        assert rates(model) == pytest.approx([0.25, 0.5])

    def test_a_rate_that_the_recipe_replaces_is_named(
        self, mine: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        assert rates(create(f"{mine}:deep", classes=5, image_size=16)) == [0, 0]
        (warning,) = (r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
        assert "of at most 0.2 there, follows the recipe: drop_path=0" in warning

    @pytest.mark.parametrize("function", ["plain", "off"])
    def test_a_model_without_any_takes_none(self, mine: str, function: str) -> None:
        with pytest.raises(UserError, match="no stochastic depth"):
            create(f"{mine}:{function}", classes=5, image_size=16, drop_path=0.1)


def recipe_of(model: str, data: Path, *more: str) -> ClassifyRecipe:
    settings = [f"model={model}", f"data=folder:{data}", "epochs=2", "batch_size=4", *more]
    found = recipes.override(recipes.get("classify/tiny"), settings)
    assert isinstance(found, ClassifyRecipe)
    return found


def test_a_training_is_like_any_other(
    mine: str, tmp_path: Path, two_classes: Callable[..., Path]
) -> None:
    recipe = recipe_of(
        f"{mine}:deep", two_classes(train=4, val=2, test=2), "drop_path=0.2", "ema=0.5"
    )
    check(recipe)
    result = train(recipe, 0, tmp_path / "run", device="cpu", show_progress=False)
    model = create(recipe.model, classes=2, image_size=16, drop_path=0.2)
    assert result["parameters"] == sum(p.numel() for p in model.parameters())
    assert result["MACs"] == macs(model, 16) > 0
    assert 0 <= result["scores"]["top1"] <= 1
    assert {line.finding for line in audit_run(tmp_path / "run")} <= {"fair", "unknown"}
    stop = StopRequest(max_minutes=1e-9)
    with pytest.raises(Stopped):
        train(recipe, 0, tmp_path / "again", device="cpu", stop=stop, show_progress=False)
    again = train(recipe, 0, tmp_path / "again", device="cpu", show_progress=False)
    assert again["scores"] == result["scores"]


def test_other_code_does_not_go_on(
    tmp_path: Path, two_classes: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SOURCE)
    recipe = recipe_of(f"{file}:plain", two_classes(train=4, val=2, test=2))
    stop = StopRequest(max_minutes=1e-9)
    with pytest.raises(Stopped):
        train(recipe, 0, tmp_path / "run", device="cpu", stop=stop, show_progress=False)
    file.write_text(SOURCE.replace("nn.ReLU()", "nn.GELU()"))
    monkeypatch.setattr(own_code, "_read", {})  # as in a new process
    with pytest.raises(UserError, match=r"has changed since \(mine\.py\)"):
        train(recipe, 0, tmp_path / "run", device="cpu", show_progress=False)
    record = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert set(record["fingerprint"]) == {"train", "val", "test"}


def test_a_file_that_will_not_do_leaves_no_folder(
    mine: str, tmp_path: Path, two_classes: Callable[..., Path]
) -> None:
    recipe = recipe_of(f"{mine}:short", two_classes(train=4, val=2, test=2))
    check(recipe)  # asks for the function alone
    with pytest.raises(UserError, match="it must be"):
        train(recipe, 0, tmp_path / "run", device="cpu", show_progress=False)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="there is no file"):
        check(recipe_of(f"{tmp_path}/gone.py:build", tmp_path))


def test_an_image_is_black_and_alone(tmp_path: Path) -> None:
    file = tmp_path / "seen.py"
    file.write_text(
        "from torch import nn\nSEEN = []\n"
        "def build(classes, image_size):\n"
        "    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size ** 2, classes))\n"
        "    net.register_forward_hook(lambda m, x, y: SEEN.append((m.training, x[0])))\n"
        "    return net\n"
    )
    create(f"{file}:build", classes=3, image_size=8)
    seen: list[tuple[bool, Tensor]] = own_code.code_of(file).module.SEEN
    assert [(training, images.shape) for training, images in seen] == [(False, (1, 3, 8, 8))]
    assert not seen[0][1].any()
