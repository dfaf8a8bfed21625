"""ESPNetv2 against the published network's definition, part by part, and its weights."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from triptych.errors import UserError
from triptych.segment.models import create
from triptych.segment.models.espnetv2 import (
    ENCODER_WIDTHS,
    MergeLevels,
    _shrink,
    dilations,
)
from triptych.weights import load


def test_dilations_stay_below_the_receptive_limit() -> None:
    assert dilations(13) == [1, 2, 3, 4]
    assert dilations(9) == [1, 2, 3, 4]
    assert dilations(7) == [1, 1, 2, 3]


@pytest.mark.parametrize("size", [(36, 48), (15, 30), (33, 33), (20, 9)])
@pytest.mark.parametrize("scale", [2.0, 1.5, 0.5, 0.1])
def test_shrinking_is_adaptive_average_pooling(size: tuple[int, int], scale: float) -> None:
    scaled = (max(math.ceil(size[0] * scale), 5), max(math.ceil(size[1] * scale), 5))
    source, target = (scaled, size) if scale > 1 else (size, scaled)
    x = torch.randn(2, 3, *source, dtype=torch.float64)
    torch.testing.assert_close(_shrink(x, target), F.adaptive_avg_pool2d(x, target))


def test_merging_levels_is_the_shuffled_grouped_convolution() -> None:
    merge = MergeLevels(levels=5, width=4).eval()
    convolution, norm, act = merge.cbr
    nn.init.normal_(norm.running_mean)
    x = torch.randn(2, 20, 9, 7)
    published = act(norm(convolution(F.channel_shuffle(x, 5))))
    torch.testing.assert_close(merge(x), published)


@pytest.mark.parametrize("scale", ENCODER_WIDTHS)
def test_parameters_are_those_of_the_published_table(scale: float) -> None:
    millions = {0.5: 0.08, 1.0: 0.23, 1.5: 0.47, 2.0: 0.79}[scale]
    parameters = sum(p.numel() for p in create(f"espnetv2-s{scale}").parameters())
    assert round(parameters / 1e6, 2) == millions


@pytest.mark.parametrize("scale", ["0.5", "2.0"])
def test_published_weights_load_strictly(shared: Path, scale: str) -> None:
    content = load(shared / "weights" / f"espnetv2_s_{scale}_city_1024x512.pth")
    model = create(f"espnetv2-s{scale}")
    model.load_state_dict(content, strict=True)
    assert set(model.state_dict()) == set(content)


def test_the_weights_of_another_scale_are_refused(shared: Path) -> None:
    content = load(shared / "weights" / "espnetv2_s_0.5_city_1024x512.pth")
    with pytest.raises(UserError, match="of another shape"):
        create("espnetv2-s2.0").load_published(content)
