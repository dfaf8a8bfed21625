"""What is computed in another way on a processor gives what torchvision's own parts give."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import initLevelMapper

from triptych.detect.models.detector import Detector, Target
from triptych.detect.models.roi_pool import RoIPool
from triptych.detect.models.sparse_rpn import SparseRPN

SIZES = ((24, 40), (12, 20), (6, 10))
SCALES = [1 / 4, 1 / 8, 1 / 16]


def maps(seed: int, channels: int = 6, images: int = 2) -> OrderedDict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = OrderedDict()
    for level, size in enumerate(SIZES):
        each = torch.randn(images, channels, *size, generator=generator)
        each = each.contiguous(
            memory_format=torch.channels_last if level else None or torch.contiguous_format
        )
        found[str(level)] = each.requires_grad_()
    return found


def boxes(seed: int, count: int) -> Tensor:
    """Of all sizes, some over the edge of a picture of 96x160, some as thin as a pixel."""
    generator = torch.Generator().manual_seed(seed)
    middle = torch.rand(count, 2, generator=generator) * torch.tensor([160.0, 96.0])
    half = torch.rand(count, 2, generator=generator) ** 3 * 70 + 0.3
    return torch.cat([middle - half, middle + half], dim=1)


@pytest.mark.parametrize(("levels", "pool", "points"), [(3, 7, 2), (1, 14, 2), (3, 2, 3)])
def test_pooling_is_torchvisions(levels: int, pool: int, points: int) -> None:
    names = [str(level) for level in range(levels)]
    found = []
    for kind in (RoIPool, MultiScaleRoIAlign):
        layer: Any = kind(names, pool, points)
        layer.scales = SCALES[:levels]
        layer.map_levels = initLevelMapper(2, 1 + levels, canonical_scale=56)
        features = maps(0)
        out = layer(features, [boxes(1, 30), boxes(2, 11)], [(96, 160)] * 2)
        weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
        (out * weights).sum().backward()
        found.append((out, [features[name].grad for name in names]))
    (ours, our_slopes), (theirs, their_slopes) = found
    assert ours.shape == (41, 6, pool, pool)
    assert torch.allclose(ours, theirs, atol=1e-5)
    for mine, other in zip(our_slopes, their_slopes, strict=True):
        assert torch.allclose(mine, other, atol=1e-4)


def test_pooling_nothing_gives_nothing() -> None:
    layer: Any = RoIPool(["0", "1", "2"], 7, 2)
    layer.scales, layer.map_levels = SCALES, initLevelMapper(2, 4, canonical_scale=56)
    out = layer(maps(0), [torch.zeros(0, 4), torch.zeros(0, 4)], [(96, 160)] * 2)
    assert out.shape == (0, 6, 7, 7)


def networks(channels: int = 6) -> Sequence[RegionProposalNetwork]:
    """torchvision's and ours, with the same head of 3 anchors a place."""
    anchors = AnchorGenerator(((8,), (16,), (32,)), ((0.5, 1.0, 2.0),) * 3)
    torch.manual_seed(0)
    head = RPNHead(channels, 3)
    torch.nn.init.normal_(head.cls_logits.weight, std=0.3)
    torch.nn.init.normal_(head.conv[0][0].weight, std=0.2)
    theirs = RegionProposalNetwork(
        anchors, head, 0.5, 0.3, 64, 0.5, {"training": 200, "testing": 100},
        {"training": 60, "testing": 30}, 0.7,
    )  # fmt: skip
    return theirs, SparseRPN.like(theirs)


@pytest.mark.parametrize("empty", [False, True])
def test_the_rpn_learns_as_torchvisions(empty: bool) -> None:
    images = ImageList(torch.zeros(2, 3, 96, 160), [(96, 160), (80, 150)])
    targets = [{"boxes": boxes(5, 4).clamp(0, 95)}, {"boxes": torch.zeros(0, 4)}]
    if empty:
        targets[0] = targets[1]
    found = []
    for network in networks():
        network.train()
        network.zero_grad()
        features = maps(1)
        torch.manual_seed(9)  # both draw the anchors that they learn from
        proposals, losses = network(images, features, targets)
        sum(losses.values(), torch.zeros(())).backward()
        slopes = [p.grad for p in network.parameters()] + [f.grad for f in features.values()]
        found.append(
            (proposals, losses, [torch.zeros(1) if s is None else s.clone() for s in slopes])
        )
    (theirs, their_losses, their_slopes), (ours, our_losses, our_slopes) = found
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert our_losses.keys() == their_losses.keys()
    for name, value in our_losses.items():
        assert value.item() == pytest.approx(their_losses[name].item(), rel=1e-5, abs=1e-7)
    for mine, other in zip(our_slopes, their_slopes, strict=True):
        assert torch.allclose(mine, other, atol=1e-6)
    assert any(slope.abs().max() > 1e-3 for slope in our_slopes)


def test_a_whole_detector_learns_the_same(
    small: Detector, images: list[Tensor], targets: list[Target]
) -> None:
    """Against the same detector with torchvision's own parts put back."""
    found = []
    pool = small.roi_heads.box_roi_pool
    other: Any = MultiScaleRoIAlign(pool.featmap_names, pool.output_size, pool.sampling_ratio)
    other.scales, other.map_levels = pool.scales, pool.map_levels
    plain = RegionProposalNetwork.__new__(RegionProposalNetwork)
    plain.__dict__.update(small.rpn.__dict__)
    parts = ((small.rpn, pool), (plain, other))
    state = {name: value.clone() for name, value in small.state_dict().items()}
    for rpn, pooling in parts:
        small.load_state_dict(state)
        small.rpn, small.roi_heads.box_roi_pool = rpn, pooling  # type: ignore[assignment]
        small.zero_grad()
        torch.manual_seed(4)
        losses = small(images, targets)
        assert isinstance(losses, dict)
        sum(losses.values(), torch.zeros(())).backward()
        found.append(
            (losses, {n: p.grad.clone() for n, p in small.named_parameters() if p.grad is not None})
        )
    (ours, our_slopes), (theirs, their_slopes) = found
    for name, value in ours.items():
        assert value.item() == pytest.approx(theirs[name].item(), rel=1e-4)
    assert our_slopes.keys() == their_slopes.keys()
    for name, slope in our_slopes.items():
        # Before a BatchNorm a bias has no gradient but for rounding: hence the least scale.
        scale = their_slopes[name].abs().max().clamp(min=1e-3)
        assert float((slope - their_slopes[name]).abs().max() / scale) < 2e-3, name
