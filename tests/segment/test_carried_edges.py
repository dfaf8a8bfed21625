"""An edge head beside any model: the model alone is what predicts, is kept and is counted."""

from __future__ import annotations

import copy
from typing import cast

import pytest
import torch
from torch import Tensor, nn

from triptych.segment.carried_edges import NET, WithEdges, without_edges
from triptych.segment.models import create
from triptych.segment.models.base import SegmentationModel
from triptych.training.cost import macs
from triptych.training.ema import Ema


class OwnEdges(SegmentationModel):
    """A model that predicts boundaries of its own accord."""

    def __init__(self) -> None:
        super().__init__()
        self.classes, self.edges = nn.Conv2d(3, 5, 1), nn.Conv2d(3, 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.classes(images))

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self(images), "edges": self.edges(images)}


@pytest.fixture(params=["tiny", "street", "ocr-lite0"])
def net(request: pytest.FixtureRequest) -> SegmentationModel:
    torch.manual_seed(0)
    return create(request.param, 7)


IMAGES = torch.randn(2, 3, 70, 100, generator=torch.Generator().manual_seed(0))


def test_it_predicts_as_the_model_alone(net: SegmentationModel) -> None:
    alone, carrying = copy.deepcopy(net).eval(), WithEdges(net).eval()
    with torch.inference_mode():
        assert torch.equal(carrying(IMAGES), alone(IMAGES))
        assert torch.equal(without_edges(carrying)(IMAGES), alone(IMAGES))
    assert without_edges(alone) is alone


def test_it_trains_on_the_models_outputs_and_edges(net: SegmentationModel) -> None:
    carrying = WithEdges(net).eval()
    with torch.inference_mode():
        found, own = carrying.forward_train(IMAGES), net.forward_train(IMAGES)
        assert set(found) == {*own, "edges"}
        assert all(torch.equal(found[name], own[name]) for name in own)
    before = own.get("features", own["logits"])
    assert found["edges"].shape == (2, 1, *before.shape[-2:])


def test_its_head_learns_and_so_does_the_model_below(net: SegmentationModel) -> None:
    carrying = WithEdges(net).train()
    found = carrying.forward_train(IMAGES)
    found["edges"].square().mean().backward()
    assert carrying.edge_head is not None
    assert all(p.grad is not None for p in carrying.edge_head.parameters())
    first = next(net.parameters())
    assert first.grad is not None
    assert (first.grad != 0).any()


def test_at_inference_it_costs_what_the_model_costs(net: SegmentationModel) -> None:
    alone = copy.deepcopy(net)
    carrying = WithEdges(net)
    assert macs(without_edges(carrying), 64, 96) == macs(alone, 64, 96)
    assert macs(carrying, 64, 96) == macs(alone, 64, 96)
    own = [name for name, _ in alone.named_parameters()]
    assert [name for name, _ in without_edges(carrying).named_parameters()] == own


def test_making_it_changes_nothing_of_the_model(net: SegmentationModel) -> None:
    before = copy.deepcopy(net.state_dict())
    assert net.training
    WithEdges(net)
    assert all(module.training for module in net.modules())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_models_entries_are_found_by_their_prefix(net: SegmentationModel) -> None:
    names = WithEdges(net).state_dict()
    own = [name.removeprefix(NET) for name in names if name.startswith(NET)]
    assert own == list(net.state_dict())
    assert all(name.startswith((NET, "edge_head.")) for name in names)
    # So a checkpoint without the prefix is known for one of the model alone.
    assert not any(name.startswith(NET) for name in net.state_dict())


def test_a_model_with_edges_of_its_own_gets_no_head() -> None:
    own = OwnEdges()
    carrying = WithEdges(own)
    assert carrying.edge_head is None
    assert len(list(carrying.parameters())) == len(list(own.parameters()))
    assert torch.equal(carrying.forward_train(IMAGES)["edges"], own.forward_train(IMAGES)["edges"])


def test_averaged_weights_are_of_model_and_head() -> None:
    torch.manual_seed(0)
    carrying = WithEdges(create("tiny", 7))
    ema = Ema(carrying, 0.5)
    with torch.no_grad():
        for parameter in carrying.parameters():
            parameter.add_(1.0)
    before = copy.deepcopy(ema.model)
    ema.update(carrying, step=1000)
    pairs = zip(ema.model.parameters(), before.parameters(), strict=True)
    assert all(torch.allclose(new, old + 0.5) for new, old in pairs)
    averaged = without_edges(ema.model)
    assert type(averaged).__name__ == "Tiny"
    assert not averaged.training
