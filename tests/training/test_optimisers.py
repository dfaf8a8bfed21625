"""Which parameter learns at which rate: nothing is lost, and what is asked for takes effect."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from triptych.errors import UserError
from triptych.segment.models import create
from triptych.training.optimisers import adamw
from triptych.training.schedules import write_rate


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)
        self.head_of_trunk = nn.Linear(2, 2)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Network()
        self.edge_head = nn.Conv2d(4, 1, 1)


def rates(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Learning rate and weight decay by parameter, each in exactly one group."""
    names = {id(p): name for name, p in model.named_parameters()}
    found = [
        (names[id(p)], (group["lr"], group["weight_decay"]))
        for group in optimiser.param_groups
        for p in group["params"]
    ]
    assert sorted(name for name, _ in found) == sorted(names.values())
    return dict(found)


@pytest.mark.parametrize("make", [Network, Wrapped])
@pytest.mark.parametrize("trunk_lr", [1.0, 0.1, 3.0])
def test_every_parameter_has_its_rate_and_decay(make: type[nn.Module], trunk_lr: float) -> None:
    model = make()
    optimiser = adamw(model, 123.0, 9.0, trunk_lr=trunk_lr)
    write_rate(optimiser, 0.2, 0.5)
    for name, (lr, decay) in rates(model, optimiser).items():
        trunk = name.removeprefix("net.").startswith("trunk.")
        assert lr == pytest.approx(0.2 * (trunk_lr if trunk else 1.0)), name
        plain = name.endswith("bias") or "trunk.1." in name
        assert decay == (0.0 if plain else 0.5), name


def test_the_trunk_moves_by_its_own_rate() -> None:
    # One AdamW step from zero moments moves each weight by its rate, whatever its gradient is.
    model = Network()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = adamw(model, 1.0, 0.0, trunk_lr=0.25)
    write_rate(optimiser, 0.04, 0.0)
    torch.stack([p.sum() for p in model.parameters()]).sum().backward()
    optimiser.step()
    for name, p in model.named_parameters():
        expected = 0.01 if name.startswith("trunk.") else 0.04
        assert torch.allclose(before[name] - p, torch.full_like(p, expected), atol=1e-5), name


def test_what_is_frozen_is_in_no_group() -> None:
    model = Network()
    model.trunk.requires_grad_(False)
    optimiser = adamw(model, 0.1, 0.1)
    inside = {id(p) for group in optimiser.param_groups for p in group["params"]}
    assert inside == {
        id(p) for name, p in model.named_parameters() if not name.startswith("trunk.")
    }


class Named(nn.Module):
    """A network whose trunk has that name, inside another module as smp's models have it."""

    def __init__(self, trunk: str) -> None:
        super().__init__()
        self.network = nn.Module()
        self.network.add_module(trunk, nn.Linear(2, 2))
        self.network.add_module("decoder", nn.Linear(2, 2))
        self.edge_head = nn.Linear(2, 2)


@pytest.mark.parametrize("trunk", ["trunk", "backbone", "encoder"])
def test_a_trunk_is_known_by_any_of_its_names(trunk: str) -> None:
    model = Named(trunk)
    optimiser = adamw(model, 1.0, 0.0, trunk_lr=0.25)
    write_rate(optimiser, 0.4, 0.0)
    slow = {name for name, (lr, _) in rates(model, optimiser).items() if lr == pytest.approx(0.1)}
    assert slow == {f"network.{trunk}.weight", f"network.{trunk}.bias"}


@pytest.mark.parametrize(
    "name",
    ["street", "psp-r50", "hrnet18-if", "pspnet-r50", "segformer-b0", "espnetv2-s0.5",
     "smp:unet:resnet18", "smp:unet:tu-resnet18"],
)  # fmt: skip
def test_every_model_with_a_trunk_may_have_a_rate_for_it(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    learning = [p for p in model.parameters() if p.requires_grad]
    groups = adamw(model, 0.1, 0.1, trunk_lr=0.1).param_groups
    slow = sum(p.numel() for group in groups for p in group["params"] if group["multiple"] == 0.1)
    assert 0.3 < slow / sum(p.numel() for p in learning) < 1


def test_a_rate_for_a_trunk_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"trunk_lr=0\.1 has no effect on a model without a trunk"):
        adamw(nn.Linear(2, 2), 0.1, 0.1, trunk_lr=0.1)
    adamw(nn.Linear(2, 2), 0.1, 0.1, trunk_lr=1.0)
