"""Inverse networks: what they promise for any weights, and the published one's file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from triptych.errors import UserError
from triptych.segment.inverse.networks import TILE, InverseNet, PublishedInverseNet
from triptych.segment.inverse.shipped import published_network, shipped_network, trained_network

PUBLISHED_ENTRIES = {
    "fc.0.weight": (1000, 100352),
    "fc.0.bias": (1000,),
    "fc.2.weight": (32, 1000),
    "fc.2.bias": (32,),
    "fc.4.weight": (4, 32),
    "fc.4.bias": (4,),
}


def maps(count: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 1, TILE, TILE, generator=draw) > 0.9).float()


@pytest.mark.parametrize("seed", range(3))
def test_identical_maps_are_at_distance_0_whatever_the_weights(seed: int) -> None:
    torch.manual_seed(seed)
    network = InverseNet()
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.2)
    same, others = maps(4, 1), maps(4, 2)
    with torch.no_grad():
        assert torch.equal(network(same, same), torch.zeros(4, 8))
        different = network(same, others)
        assert bool((different.norm(dim=1) > 0).all())
        torch.testing.assert_close(network(others, same), -different)


def test_the_small_network_is_small() -> None:
    assert sum(p.numel() for p in InverseNet().parameters()) == 272_688
    assert sum(p.numel() for p in shipped_network().parameters()) < 500_000


def test_the_published_network_has_the_published_entries() -> None:
    with torch.device("meta"):
        network = PublishedInverseNet()
    entries = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert entries == PUBLISHED_ENTRIES
    assert (network.tile, network.map_size, network.coefficients) == (224, (672, 1344), 4)


class Narrow(PublishedInverseNet):
    """The same layers on smaller tiles, so that a test need not hold 400 MB."""

    tile = 8


def test_the_published_network_takes_the_predicted_map_first() -> None:
    torch.manual_seed(0)
    network = Narrow()
    one, other = torch.rand(2, 1, 8, 8), torch.rand(2, 1, 8, 8)
    entries = network.state_dict()
    hidden = torch.cat([one.view(2, 64), other.view(2, 64)], dim=1)
    for layer in (0, 2, 4):
        hidden = hidden @ entries[f"fc.{layer}.weight"].T + entries[f"fc.{layer}.bias"]
        if layer < 4:
            hidden = hidden.clamp(min=0)
    torch.testing.assert_close(network(one, other), hidden)


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_published_file_is_loaded_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    monkeypatch.setattr("triptych.segment.inverse.shipped.PublishedInverseNet", Narrow)
    entries = Narrow().state_dict()
    file = tmp_path / "regressor.pth"
    names = {f"module.{name}": value for name, value in entries.items()}
    torch.save({"state_dict": names} if wrapped else entries, file)
    loaded = published_network(file).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in entries.items())
    for broken, word in (
        ({k: v for k, v in entries.items() if k != "fc.2.bias"}, "missing"),
        (entries | {"fc.6.weight": torch.zeros(1)}, "does not have"),
        (entries | {"fc.4.weight": torch.zeros(6, 32)}, "another shape"),
    ):
        torch.save(broken, file)
        with pytest.raises(UserError, match=word):
            published_network(file)


def test_another_run_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "recipe.json").write_text('{"recipe": {"name": "segment/tiny", "model": "tiny"}}')
    with pytest.raises(UserError, match="'tiny'"):
        trained_network(tmp_path)
