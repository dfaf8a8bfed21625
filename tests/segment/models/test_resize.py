"""Maps change their size in one way: bilinear, corners not aligned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import triptych.segment
from triptych.segment.models.resize import resize, resize_to


def test_by_hand() -> None:
    x = torch.tensor([[[[0.0, 4.0]]]])
    # Centres of the four new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the two old ones' distance.
    wider = torch.tensor([[[[0.0, 1.0, 3.0, 4.0]]]])
    torch.testing.assert_close(resize_to(x, (1, 4)), wider)
    torch.testing.assert_close(resize(x, like=torch.zeros(7, 1, 4)), wider)


@pytest.mark.parametrize("size", [(3, 5), (4, 4)])
def test_at_its_own_size_a_map_stays_the_same_to_the_bit(size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size).requires_grad_()
    got = resize_to(x, size)
    assert torch.equal(got, x)
    slope = torch.randn_like(got)
    got.backward(slope)
    assert torch.equal(x.grad, slope)


def test_no_model_and_no_loss_has_a_way_of_its_own() -> None:
    # ESPNetv2's published networks align corners, which is why it asks PyTorch itself.
    allowed = {"resize.py", "espnetv2.py"}
    root = Path(triptych.segment.__file__).parent
    found = {
        file.name
        for folder in ("models", "inverse")
        for file in (root / folder).rglob("*.py")
        if re.search(r"F\.interpolate", file.read_text())
    }
    assert found == allowed
