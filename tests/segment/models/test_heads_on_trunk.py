"""Two heads on any trunk: nothing but the head differs, and the trunks are what they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet50

from triptych.normalisation import EFFICIENTNET_LITE, IMAGENET
from triptych.segment.models import create, entry
from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.heads_on_trunk import OCROnTrunk, PSPOnTrunk
from triptych.segment.models.lite_trunk import LiteTrunk
from triptych.segment.models.ocr import OCRHead
from triptych.segment.models.psp_head import FCNHead, PSPHead
from triptych.segment.models.resnet_trunk import ResNetTrunk
from triptych.segment.models.trunk import Trunk

Untrained = Callable[[SegmentationModel, str], tuple[list[str], list[str]]]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Small(Trunk):
    """Two maps, of 4 and of 6 channels, at a half and at a quarter of the size."""

    channels = (4, 6)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        first = self.first(images)
        return [first, self.second(first)]


@pytest.mark.parametrize("make", [PSPOnTrunk, OCROnTrunk])
class TestOnAnyTrunk:
    def test_the_head_sees_the_last_map(self, make: type[PSPOnTrunk]) -> None:
        model = make(5, Small(), mid=8).eval()
        images = torch.randn(2, 3, 33, 47)
        with torch.inference_mode():
            found = model.forward_train(images)
            assert torch.equal(found["logits"], model(images))
        assert found["logits"].shape == found["aux"].shape == (2, 5, 33, 47)
        assert found["features"].shape == (2, 8, 9, 12)

    @pytest.mark.parametrize("boundary", ["none", "edges", "inverseform"])
    def test_everything_learns(
        self, make: type[PSPOnTrunk], boundary: str, untrained: Untrained
    ) -> None:
        assert untrained(make(5, Small(), mid=8), boundary) == ([], [])


def test_on_lite0_the_weights_are_drawn_in_the_order_that_they_always_were() -> None:
    torch.manual_seed(7)
    trunk = LiteTrunk(0, 16)
    parts = {"trunk": trunk, "aux": FCNHead(320, 5, 128), "head": PSPHead(320, 5, 128)}
    torch.manual_seed(7)
    assert_parts(create("psp-lite0", 5), parts)
    torch.manual_seed(7)
    parts = {"trunk": LiteTrunk(0, 16), "head": OCRHead(320, 5, 128, 64)}
    torch.manual_seed(7)
    assert_parts(create("ocr-lite0", 5), parts)


def assert_parts(model: nn.Module, parts: dict[str, nn.Module]) -> None:
    """The model has these parts and nothing else, with the same values."""
    expected = {f"{n}.{k}": v for n, part in parts.items() for k, v in part.state_dict().items()}
    found = model.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in found.items())


@pytest.mark.parametrize("name", ["psp-r50", "ocr-r50"])
def test_on_resnet_50_all_but_the_head_is_torchvisions(name: str) -> None:
    with torch.device("meta"):
        model, theirs = create(name, 5), resnet50()
    own = {k: v.shape for k, v in model.state_dict().items() if k.startswith("trunk.")}
    wanted = {f"trunk.net.{k}": v.shape for k, v in theirs.state_dict().items()}
    for classifier in ("weight", "bias"):
        wanted.pop(f"trunk.net.fc.{classifier}")
    assert own == wanted
    head = model.get_submodule("head")
    published = PSPHead(8, 5) if name == "psp-r50" else OCRHead(8, 5)
    width = {k: v.shape[0] for k, v in published.state_dict().items() if v.ndim and "aux" not in k}
    assert {k: head.state_dict()[k].shape[0] for k in width} == width  # as wide as published


def test_the_two_have_the_same_trunk_and_input() -> None:
    for trunk, kind in (("lite0", LiteTrunk), ("r50", ResNetTrunk)):
        with torch.device("meta"):
            psp, ocr = create(f"psp-{trunk}"), create(f"ocr-{trunk}")
        assert isinstance(psp, PSPOnTrunk)
        assert isinstance(ocr, OCROnTrunk)
        assert type(psp.trunk) is type(ocr.trunk) is kind
        for model, head in ((psp, "psp"), (ocr, "ocr")):
            known = entry(f"{head}-{trunk}")
            assert known.parameters == sum(p.numel() for p in model.parameters())
            assert known.normalisation == (EFFICIENTNET_LITE if trunk == "lite0" else IMAGENET)


def test_the_resnet_keeps_an_eighth_of_the_size() -> None:
    trunk = ResNetTrunk().eval()
    with torch.inference_mode():
        maps = trunk(torch.zeros(1, 3, 33, 50))
    assert [tuple(each.shape) for each in maps] == [(1, 1024, 5, 7), (1, 2048, 5, 7)]
    assert trunk.channels == (1024, 2048)
