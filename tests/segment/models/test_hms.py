"""Hierarchical multi-scale attention: the fusion by hand, the network around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.errors import UserError
from triptych.inference import Prepared, Runtime
from triptych.normalisation import IMAGENET
from triptych.segment.models import create, entry
from triptych.segment.models.base import SegmentationModel
from triptych.segment.models.hms import HRNetOCRMultiScale, fuse, scaled_images
from triptych.segment.models.hrnet_ocr import HRNetOCR
from triptych.segment.models.hrnet_trunk import HRNetTrunk
from triptych.segment.models.scales import PUBLISHED_SCALES, TRAINING_SCALES

Untrained = Callable[[SegmentationModel, str], tuple[list[str], list[str]]]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def narrow() -> HRNetOCRMultiScale:
    """The published network, only narrower and less deep, with weights that matter."""
    torch.manual_seed(6)
    model = HRNetOCRMultiScale(5, HRNetTrunk(4, 1, (1, 1, 1)), mid=12, key=6)
    with torch.no_grad():
        for each in model.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.running_mean.normal_(0, 0.1)
                each.running_var.uniform_(0.5, 1.5)
                each.bias.normal_(0, 0.1)
        model.scale_attn.conv2.weight.mul_(20)
    return model.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(1, 3, 40, 56, generator=torch.Generator().manual_seed(1))


def constant_look(values: dict[int, tuple[float, float]]) -> object:
    """A network that sees the width of the image only: its map and its attention by width."""

    def look(scaled: Tensor, attend: bool) -> tuple[Tensor, Tensor | None]:
        value, attention = values[scaled.shape[-1]]
        maps = torch.full((1, 1, *scaled.shape[-2:]), value)
        return maps, torch.full_like(maps, attention) if attend else None

    return look


def test_the_fusion_worked_by_hand() -> None:
    look = constant_look({16: (8.0, 9.9), 8: (4.0, 0.25), 4: (2.0, 0.5), 2: (1.0, 0.1)})
    fused = fuse(torch.zeros(1, 3, 8, 8), (0.5, 2.0, 0.25, 1.0), look)
    # 2: 8;  1: .25*4 + .75*8 = 7;  .5: .5*2 + .5*7 = 4.5;  .25: .1*1 + .9*4.5 = 4.15
    torch.testing.assert_close(fused, torch.full((1, 1, 8, 8), 4.15))


def test_each_scale_meets_the_larger_ones_at_the_right_size() -> None:
    """Against the equations of the paper with maps and attention that vary over the image."""
    generator = torch.Generator().manual_seed(4)
    sizes = {3.0: 24, 2.0: 16, 1.0: 8, 0.5: 4}
    maps = {s: torch.randn(1, 2, n, n, generator=generator) for s, n in sizes.items()}
    share = {s: torch.rand(1, 1, n, n, generator=generator) for s, n in sizes.items()}

    def look(scaled: Tensor, attend: bool) -> tuple[Tensor, Tensor | None]:
        scale = scaled.shape[-1] / 8
        return maps[scale], share[scale] if attend else None

    def at(x: Tensor, side: int) -> Tensor:
        return F.interpolate(x, (side, side), mode="bilinear")

    expected = maps[3.0]
    for scale, side in ((2.0, 16), (1.0, 8)):
        expected = share[scale] * maps[scale] + (1 - share[scale]) * at(expected, side)
    expected = at(share[0.5] * maps[0.5], 8) + (1 - at(share[0.5], 8)) * expected
    got = fuse(torch.zeros(1, 3, 8, 8), sizes, look)
    torch.testing.assert_close(got, expected)


def test_attention_is_not_computed_where_nothing_is_larger() -> None:
    asked = []

    def look(scaled: Tensor, attend: bool) -> tuple[Tensor, Tensor | None]:
        asked.append((scaled.shape[-1], attend))
        return scaled, scaled[:, :1] if attend else None

    fuse(torch.zeros(1, 3, 8, 8), (0.5, 1.0, 1.5), look)
    assert asked == [(12, False), (8, True), (4, True)]


@pytest.mark.parametrize(
    ("scale", "size"), [(0.5, (3, 2)), (2.0, (14, 10)), (0.25, (1, 1)), (0.1, (1, 1))]
)
def test_sides_are_rounded_down(scale: float, size: tuple[int, int]) -> None:
    x = torch.randn(1, 3, 7, 5)
    got = scaled_images(x, scale)
    assert got.shape[-2:] == size
    torch.testing.assert_close(got, F.interpolate(x, size, mode="bilinear"))


def test_one_scale_is_the_plain_network(images: Tensor) -> None:
    model = narrow()
    plain = HRNetOCR(5, HRNetTrunk(4, 1, (1, 1, 1)), mid=12, key=6).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    model.scales = (1,)
    with torch.inference_mode():
        assert torch.equal(model(images), plain(images))
        aux = [net.forward_train(images)["aux"] for net in (model, plain)]
    torch.testing.assert_close(*aux)


def test_scales_change_what_comes_out(images: Tensor) -> None:
    model = narrow()
    assert model.scales == PUBLISHED_SCALES
    with torch.inference_mode():
        published = model(images)
        model.scales = (1.0, 0.5)
        two = model(images)
        model.scales = (0.5, 1.0, 0.5)
        again = model(images)
    assert model.scales == (0.5, 1.0)
    assert not torch.allclose(published, two, rtol=1e-2)
    assert torch.equal(two, again)


def test_all_that_training_gets_is_fused_alike(images: Tensor) -> None:
    model = narrow()
    with torch.inference_mode():
        found = model.forward_train(images)
        torch.testing.assert_close(found["logits"], model(images))
        features = model.backbone(images)
        edges = F.interpolate(model.edge_head(features).sigmoid(), (40, 56), mode="bilinear")
        described, aux = model.ocr.describe(features)
    torch.testing.assert_close(found["edges"].sigmoid(), edges, rtol=1e-4, atol=1e-5)
    assert torch.equal(found["features"], described)
    assert found["aux"].shape == (1, 5, 40, 56)
    assert not torch.allclose(found["aux"], F.interpolate(aux, (40, 56), mode="bilinear"))


def test_training_looks_at_two_scales(images: Tensor) -> None:
    model = narrow()
    seen: list[int] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    model.train()
    model.forward_train(torch.cat([images, images]))
    assert seen == [int(56 * scale) for scale in reversed(TRAINING_SCALES)]


@pytest.mark.parametrize("boundary", ["none", "edges", "inverseform"])
def test_everything_learns_but_the_boundary_head_of_a_training_without(
    boundary: str, untrained: Untrained
) -> None:
    missed, frozen = untrained(narrow(), boundary)
    assert missed == []
    head = [name for name, _ in narrow().named_parameters() if name.startswith("edge_head.")]
    assert frozen == (head if boundary == "none" else [])


@pytest.mark.parametrize("sure", [4.0, 7.0, 10.0])
def test_a_wrong_boundary_that_is_sure_is_unlearnt_in_bfloat16(images: Tensor, sure: float) -> None:
    model = narrow().train()
    last = model.edge_head.last_layer[-1]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(sure)
    with torch.autocast("cpu", torch.bfloat16):
        edges = model.forward_train(torch.cat([images, images]))["edges"]
    assert edges.dtype == torch.float32
    torch.testing.assert_close(edges, torch.full_like(edges, sure), rtol=0.05, atol=0)
    nowhere = torch.zeros_like(edges)
    F.binary_cross_entropy_with_logits(edges, nowhere).backward()
    # The mean of sigmoid(logit) - 0, as for a head without the way through probabilities.
    assert last.bias.grad.item() == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (33, 47), (129, 66)])
def test_any_size(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        logits = narrow()(torch.randn(2, 3, *size))
    assert logits.shape == (2, 5, *size)
    assert logits.isfinite().all()


def test_bfloat16_is_close(images: Tensor) -> None:
    model = narrow()
    with torch.inference_mode():
        exact = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            rough = model.forward_train(images)
    assert (exact - rough["logits"].float()).abs().mean() < 0.05 * exact.std()
    assert rough["edges"].isfinite().all()


def test_openvino_sees_the_same_boundaries(images: Tensor) -> None:
    model = narrow()
    model.scales = (0.5, 1.0)
    picture = ((images.permute(0, 2, 3, 1) + 3) * 40).clamp(0, 255).to(torch.uint8).numpy()
    (labels, edges), (again, edges_again) = (
        Prepared(
            model, IMAGENET, 5, runtime=Runtime(name), device=torch.device("cpu")
        ).labels_and_edges(picture)
        for name in ("torch", "openvino")
    )
    assert (labels == again).mean() > 0.999
    assert abs(edges.astype(int) - edges_again).max() <= 1
    assert edges.std() > 5


def test_the_registry_states_the_published_scales() -> None:
    assert entry("hrnet48-ocr-hms-if").scales == PUBLISHED_SCALES
    with torch.device("meta"):
        model = create("hrnet48-ocr-hms-if")
    assert isinstance(model, HRNetOCRMultiScale)
    assert model.scales == PUBLISHED_SCALES
    with pytest.raises(UserError, match="must be among them"):
        model.scales = (0.5, 2)
    assert model.scales == PUBLISHED_SCALES
