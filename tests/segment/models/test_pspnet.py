"""PSPNet: its trunk against torchvision's, its heads against numbers worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet50, resnet101

from triptych.errors import UserError
from triptych.segment.models import create
from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.dilated_resnet import CHANNELS, dilated_resnet
from triptych.segment.models.psp_head import DROPOUT, FCNHead, PSPHead


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def stirred(module: nn.Module, seed: int = 3) -> Any:
    """In evaluation mode, with batch norms that do something and no branch at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for each in module.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.running_mean.normal_(0, 0.1, generator=generator)
                each.running_var.uniform_(0.5, 1.5, generator=generator)
                each.weight.uniform_(0.3, 0.8, generator=generator)
                each.bias.normal_(0, 0.1, generator=generator)
    return module.eval()


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    torch.manual_seed(5)
    made: SegmentationModel = stirred(create("pspnet-r50", 7))
    return made


class TestTrunk:
    def test_with_a_plain_stem_it_is_torchvisions_dilated_resnet(self) -> None:
        theirs = stirred(resnet50(replace_stride_with_dilation=[False, True, True]))
        ours = dilated_resnet(50, deep_stem=False).eval()
        state = {k: v for k, v in theirs.state_dict().items() if not k.startswith("fc.")}
        ours.load_state_dict(state, strict=True)
        images = torch.randn(2, 3, 33, 75, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            x = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(images))))
            third = theirs.layer3(theirs.layer2(theirs.layer1(x)))
            got = ours(images)
            torch.testing.assert_close(got[0], third)
            torch.testing.assert_close(got[1], theirs.layer4(third))
        assert [each.shape[1] for each in got] == list(CHANNELS)
        assert got[1].shape[2:] == (5, 10)

    def test_the_deep_one_has_the_blocks_and_dilations_of_101_layers(self) -> None:
        with torch.device("meta"):
            theirs = resnet101(replace_stride_with_dilation=[False, True, True])
            ours = dilated_resnet(101)
        convolutions = {
            name: (each.weight.shape, each.stride, each.dilation, each.padding)
            for name, each in theirs.named_modules()
            if isinstance(each, nn.Conv2d) and name.startswith("layer")
        }
        assert len(convolutions) == 3 * (3 + 4 + 23 + 3) + 4
        found = dict(ours.named_modules())
        for name, wanted in convolutions.items():
            each = found[name]
            assert isinstance(each, nn.Conv2d)
            assert (each.weight.shape, each.stride, each.dilation, each.padding) == wanted, name

    def test_the_deep_stem_is_three_convolutions_of_3x3(self) -> None:
        with torch.device("meta"):
            trunk = dilated_resnet(50)
        stem = [each for each in trunk.get_submodule("conv1") if isinstance(each, nn.Conv2d)]
        assert [(c.in_channels, c.out_channels, c.kernel_size, c.stride) for c in stem] == [
            (3, 32, (3, 3), (2, 2)),
            (32, 32, (3, 3), (1, 1)),
            (32, 64, (3, 3), (1, 1)),
        ]


def plain(head: nn.Module) -> Any:
    """With every weight at 0 and batch norms that change nothing but for their eps."""
    with torch.no_grad():
        for each in head.parameters():
            each.zero_()
        for each in head.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.weight.fill_(math.sqrt(1 + each.eps))
    return head.eval()


class TestHeads:
    def test_a_map_of_2x2_worked_out_by_hand(self) -> None:
        head = plain(PSPHead(1, 2, mid=1, bins=(1, 2)))
        with torch.no_grad():
            for level, weight in zip(head.levels, (1.0, 2.0), strict=True):
                level.conv.weight.fill_(weight)
            head.fuse.conv.weight[0, :, 1, 1] = torch.tensor([100.0, 10.0, 1.0])
            head.classify.weight[:, 0, 0, 0] = torch.tensor([1.0, -1.0])
            head.classify.bias[1] = 5.0
            got = head(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        # 100 times the map, 10 times its mean of 2.5, and twice the map in a grid of 2x2
        first = torch.tensor([[127.0, 229.0], [331.0, 433.0]])
        torch.testing.assert_close(got, torch.stack([first, 5 - first])[None])

    def test_a_grid_that_does_not_divide_the_map(self) -> None:
        head = plain(PSPHead(1, 1, mid=1, bins=(3,)))
        with torch.no_grad():
            head.levels[0].conv.weight.fill_(1.0)
            head.fuse.conv.weight[0, 1, 1, 1] = 1.0
            head.classify.weight.fill_(1.0)
            got = head(torch.arange(6.0).expand(1, 1, 3, 6))
        # cells of 2 columns: means 0.5, 2.5, 4.5; columns lie at -1/4, 1/4, 3/4 … of a cell's step
        wanted = torch.tensor([0.5, 1.0, 2.0, 3.0, 4.0, 4.5]).expand(1, 1, 3, 6)
        torch.testing.assert_close(got, wanted)

    def test_what_is_negative_does_not_pass(self) -> None:
        head = plain(PSPHead(1, 1, mid=1, bins=(1,)))
        with torch.no_grad():
            head.levels[0].conv.weight.fill_(-1.0)
            head.fuse.conv.weight[0, 1, 1, 1] = 1.0
            head.classify.weight.fill_(1.0)
            assert (head(torch.full((1, 1, 2, 2), 3.0)) == 0).all()
            assert (head(torch.full((1, 1, 2, 2), -3.0)) == 3).all()

    def test_the_head_is_for_any_trunk(self) -> None:
        head = PSPHead(320, 11, mid=64, bins=(1, 2, 4)).eval()
        features = torch.randn(2, 320, 9, 5)
        assert head(features).shape == (2, 11, 9, 5)
        assert head.context(features).shape == (2, 64, 9, 5)
        torch.testing.assert_close(head.logits(head.context(features)), head(features))

    def test_every_pixel_sees_the_whole_map(self) -> None:
        head = stirred(PSPHead(4, 3, mid=8))
        features = torch.randn(1, 4, 12, 12)
        changed = features.clone()
        changed[..., 0, 0] += 50
        with torch.inference_mode():
            assert (head(features) - head(changed)).abs().amax(1).min() > 0

    def test_a_batch_of_one_cannot_be_trained_on(self) -> None:
        head = PSPHead(4, 3, mid=8)
        with pytest.raises(UserError, match="batches of one picture: --set batch_size=2"):
            head(torch.randn(1, 4, 6, 6))
        head(torch.randn(2, 4, 6, 6)).sum().backward()
        assert head.eval()(torch.randn(1, 4, 6, 6)).shape == (1, 3, 6, 6)
        assert PSPHead(4, 3, mid=8, bins=(2,))(torch.randn(1, 4, 6, 6)).shape == (1, 3, 6, 6)

    def test_channels_are_dropped_in_training_only(self) -> None:
        head = plain(PSPHead(1, 1, mid=1000, bins=(2,)))
        with torch.no_grad():
            head.classify.weight.fill_(1.0)
            context = torch.ones(1, 1000, 2, 2)
            assert (head.logits(context) == 1000).all()
            torch.manual_seed(0)
            kept = head.train().logits(context) * (1 - DROPOUT) / 1000
        assert kept.unique().numel() == 1, "whole channels, not single pixels"
        assert kept[0, 0, 0, 0].item() == pytest.approx(1 - DROPOUT, abs=0.04)

    def test_the_auxiliary_head_is_one_convolution_before_the_classes(self) -> None:
        head = stirred(FCNHead(5, 3, mid=4))
        features = torch.randn(2, 5, 7, 6)
        norm = head.refine.norm
        x = F.conv2d(features, head.refine.conv.weight, padding=1)
        x = (x - _by_channel(norm.running_mean)) / _by_channel(norm.running_var + norm.eps).sqrt()
        x = (x * _by_channel(norm.weight) + _by_channel(norm.bias)).clamp(min=0)
        wanted = torch.einsum("nchw,kc->nkhw", x, head.classify.weight[..., 0, 0])
        torch.testing.assert_close(head(features), wanted + _by_channel(head.classify.bias))


def _by_channel(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


class TestNetwork:
    @pytest.mark.parametrize("size", [(32, 32), (33, 47), (17, 90)])
    def test_logits_have_the_size_of_the_input(
        self, model: SegmentationModel, size: tuple[int, int]
    ) -> None:
        with torch.inference_mode():
            logits = model(torch.randn(1, 3, *size))
        assert logits.shape == (1, 7, *size)
        assert logits.isfinite().all()

    def test_training_gives_what_evaluation_gives_and_more(self, model: SegmentationModel) -> None:
        images = torch.randn(2, 3, 33, 40)
        with torch.inference_mode():
            found = model.forward_train(images)
            torch.testing.assert_close(found["logits"], model(images))
        assert found["aux"].shape == found["logits"].shape == (2, 7, 33, 40)
        assert found["features"].shape == (2, 512, 5, 5)
        assert not torch.allclose(found["aux"], found["logits"])

    def test_every_parameter_learns(self) -> None:
        learner = create("pspnet-r50", 3)
        found = learner.forward_train(torch.randn(2, 3, 32, 32))
        (found["logits"].square().mean() + found["aux"].square().mean()).backward()
        assert [name for name, each in learner.named_parameters() if each.grad is None] == []
