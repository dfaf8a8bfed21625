"""A backbone's entries found in files of other networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from triptych.backbones.by_name import match


def backbone() -> nn.Module:
    torch.manual_seed(0)
    net = nn.Module()
    net.conv1 = nn.Conv2d(3, 8, 3, bias=False)
    net.bn1 = nn.BatchNorm2d(8)
    net.layer1 = nn.Sequential(nn.Module())
    net.layer1[0].conv1 = nn.Conv2d(8, 8, 3, bias=False)
    return net


def other_values() -> dict[str, Tensor]:
    return {name: torch.rand(v.shape) for name, v in backbone().state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.body.", "net.trunk.net."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_it_is_found_below_any_prefix(prefix: str, wrapper: str | None) -> None:
    given = {prefix + name: value for name, value in other_values().items()}
    rest = {"fc.weight": torch.zeros(5, 8), f"{prefix}head.conv1.weight": torch.zeros(1)}
    content: dict[str, object] = {"epoch": 3, wrapper: given | rest} if wrapper else given | rest
    found = match(backbone().state_dict(), content)
    assert found.share == 1.0
    assert found.fresh == ()
    assert set(found.left_out) == set(rest)
    own = {n: v for n, v in given.items() if not n.endswith("num_batches_tracked")}
    assert {prefix + n: v.data_ptr() for n, v in found.state.items()} == {
        n: v.data_ptr() for n, v in own.items()
    }


def test_of_two_backbones_the_one_that_fits_better_is_taken() -> None:
    whole = {f"b.{n}": v for n, v in other_values().items()}
    part = {"a.conv1.weight": torch.zeros(8, 3, 3, 3)}
    found = match(backbone().state_dict(), part | whole)
    assert found.share == 1.0
    assert found.left_out == ("a.conv1.weight",)


def test_entries_of_another_shape_are_not_taken() -> None:
    given = other_values() | {"conv1.weight": torch.zeros(8, 3, 7, 7)}
    found = match(backbone().state_dict(), given)
    assert found.fresh == found.left_out == ("conv1.weight",)
    kept = 8 * 8 * 9 + 2 * 8
    assert found.share == kept / (kept + 8 * 3 * 9)


def test_the_share_is_of_parameters_and_not_of_statistics() -> None:
    own = backbone().state_dict() | {"places": torch.zeros(1000, dtype=torch.int64)}
    parameters = [n for n, _ in backbone().named_parameters()]
    assert match(own, {n: own[n] for n in parameters}).share == 1.0
    statistics = {n: v for n, v in own.items() if n not in parameters}
    found = match(own, statistics | {"conv1.weight": own["conv1.weight"]})
    assert found.share == 8 * 3 * 9 / (8 * 3 * 9 + 8 * 8 * 9 + 2 * 8)
    assert {"bn1.running_mean", "bn1.running_var", "places"} < set(found.state)


def test_a_file_of_something_else_matches_nothing() -> None:
    found = match(backbone().state_dict(), {"weight": torch.zeros(3), "epoch": 1})
    assert found.share == 0
    assert found.left_out == ("weight",)
    assert match(backbone().state_dict(), {}).share == 0
