"""Folding and restating BatchNorm: what a network computes stays the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triptych.backbones.folding import fold, pairs, restate, without_eps


def network() -> nn.Sequential:
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8, eps=1e-3),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8, bias=False),
        nn.BatchNorm2d(8, eps=1e-3),
    )
    for norm in (net[1], net[4]):
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.2, 3)
    return net.eval()


def norms_of(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def pictures() -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randn(1, 3, 12, 9, generator=generator) for _ in range(4)]


def test_folded_it_computes_the_same_and_only_biases_are_left_of_the_norms() -> None:
    net = network()
    batch = torch.cat(pictures())
    with torch.no_grad():
        before = net(batch)
        fold(net)
        torch.testing.assert_close(net(batch), before)
        for norm in norms_of(net):
            x = torch.randn(1, 8, 2, 2)
            torch.testing.assert_close(norm(x), x + norm.bias.view(-1, 1, 1))


@pytest.mark.parametrize("folded", [False, True])
def test_restated_it_computes_the_same_in_evaluation_and_in_training(folded: bool) -> None:
    net = network()
    if folded:
        fold(net)
    batch = torch.cat(pictures())
    with torch.no_grad():
        before = net(batch)
        in_training = net.train()(batch)
        assert (in_training - before).abs().max() > 0.1  # that is what it is for
    net = network()
    if folded:
        fold(net)
    restate(norms_of(net), pictures(), net)
    with torch.no_grad():
        torch.testing.assert_close(net(batch), before)
        torch.testing.assert_close(net.train()(batch), before)


def test_statistics_are_those_of_all_pictures_together() -> None:
    net = network()
    restate(norms_of(net), pictures(), net)
    with torch.no_grad():
        entering = net[0](torch.cat(pictures()))
    first = norms_of(net)[0]
    torch.testing.assert_close(first.running_mean, entering.mean((0, 2, 3)))
    torch.testing.assert_close(first.running_var, entering.var((0, 2, 3), unbiased=False))


def test_what_is_not_reached_and_constant_channels_stay_finite() -> None:
    net = network()
    idle = nn.BatchNorm2d(4)
    with torch.no_grad():
        before = net(torch.zeros(1, 3, 12, 9))
    restate([*norms_of(net), idle], [torch.zeros(1, 3, 12, 9)], net)
    assert torch.equal(idle.weight, torch.ones(4))
    with torch.no_grad():
        torch.testing.assert_close(net(torch.zeros(1, 3, 12, 9)), before)


class TestWithoutEps:
    """A BatchNorm that has an eps, against one that has none."""

    def test_it_computes_what_an_eps_of_0_would_however_small_the_variance(self) -> None:
        torch.manual_seed(1)
        # The last channels have all but died, and weights and inputs with them.
        variance = torch.tensor([3.0, 1e-2, 1e-5, 3e-9, 4e-13, 1e-14, 1e-20, 1e-30, 1e-40])
        count = len(variance)
        norm, wanted = nn.BatchNorm2d(count).eval(), nn.BatchNorm2d(count, eps=0.0).eval()
        for each in (norm, wanted):
            assert each.running_var is not None
            assert each.running_mean is not None
            each.running_var.copy_(variance)
            each.running_mean.copy_(variance.sqrt())
            with torch.no_grad():
                each.weight.copy_(torch.linspace(0.5, 2, count))
                each.bias.fill_(0.25)
        without_eps(norm)
        inputs = torch.randn(4, count, 5, 5) * variance.sqrt().view(-1, 1, 1)
        with torch.no_grad():
            torch.testing.assert_close(norm(inputs), wanted(inputs), rtol=1e-4, atol=1e-5)
        assert norm.weight.isfinite().all()

    def test_of_a_constant_channel_the_bias_is_left_and_a_distance_is_blown_up(self) -> None:
        norm = nn.BatchNorm2d(2).eval()
        assert norm.running_var is not None
        assert norm.running_mean is not None
        norm.running_var.copy_(torch.tensor([0.0, 1.0]))
        norm.running_mean.copy_(torch.tensor([0.3, 0.0]))
        norm.bias.data.fill_(5.0)
        without_eps(norm)
        assert ((norm.running_var + norm.eps) > 0).all()
        with torch.no_grad():
            at_the_mean = norm(torch.full((1, 2, 1, 1), 0.3))[0, 0]
            beside_it = norm(torch.full((1, 2, 1, 1), 0.4))[0, 0]
        assert float(at_the_mean) == pytest.approx(5.0, abs=0.1)
        assert 1e4 < float(beside_it) < 1e6


def test_a_network_of_another_build_is_refused() -> None:
    with pytest.raises(ValueError, match="a BatchNorm after each"):
        pairs(nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False)))
