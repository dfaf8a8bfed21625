"""Costs by hand: a convolution, a linear layer, a training."""

from __future__ import annotations

from torch import nn

from triptych.training.cost import macs, training_gflop


def test_a_convolution_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)).train()
    before = model[1].running_mean.clone()
    assert macs(model, 10, 12) == 8 * 3 * 9 * 10 * 12
    assert model.training
    assert bool((model[1].running_mean == before).all())


def test_a_linear_layer_by_hand() -> None:
    assert macs(nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7)), 4, 5) == 60 * 7


def test_a_training_is_three_passes_of_two_operations() -> None:
    assert training_gflop(1_000_000, 500) == 3.0
