"""The witness on toy loops whose numbers can be counted by hand."""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triptych.training.fingerprints import row_hashes
from triptych.training.optimisers import adamw
from triptych.training.schedules import write_rate
from triptych.training.state import TrainState
from triptych.training.witness import Witness

IMAGES = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 2, 2).contiguous()
KNOWN = row_hashes(IMAGES)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))


def seen(witness: Witness, *images: int, shift: float = 0.0) -> None:
    """A batch of these images; each enters with `shift` times its place added."""
    chosen = torch.tensor(images)
    place = torch.arange(len(images)).view(-1, 1, 1, 1)
    witness.batch(KNOWN[chosen], IMAGES[chosen].float() + shift * place)


def test_images_are_counted_by_epoch_and_once_each() -> None:
    witness = Witness(network())
    seen(witness, 0, 1)
    seen(witness, 2, 0)
    witness.end_epoch()
    seen(witness, 2, 1)
    witness.end_epoch()
    seen(witness, 7, 9)
    seen(witness, 9, 8)
    witness.end_epoch()
    found = witness.testimony(network(), KNOWN)
    assert found["images_seen_by_epoch"] == [3, 3, 6]
    assert found["images_seen"] == 6
    assert found["training_images"] == 10
    assert found["strangers_seen"] == 0
    assert found["samples"] == 10
    assert found["settings"]["batch_size"] == {"first": 2, "min": 2, "max": 2, "last": 2}


def test_a_stranger_is_no_training_image() -> None:
    witness = Witness(network())
    seen(witness, 0, 1, 2)
    found = witness.testimony(network(), KNOWN[[1, 2, 3, 4]])
    assert (found["images_seen"], found["strangers_seen"]) == (2, 1)
    assert found["training_images"] == 4


def test_copies_of_a_training_image_are_one_image() -> None:
    found = Witness(network()).testimony(network(), torch.cat([KNOWN, KNOWN[:3]]))
    assert found["training_images"] == 10


def test_repeats_within_a_batch_and_their_versions() -> None:
    witness = Witness(network())
    seen(witness, 0, 0, 0, 1, 2, 2, shift=1.0)  # 5 of 6 are repeats, each a version of its own
    seen(witness, 0, 0, 1, 1)  # 4 repeats, 2 versions
    seen(witness, 0, 1)  # none: repeats count within a batch
    found = witness.testimony(network(), KNOWN)
    assert (found["copies_in_batches"], found["versions_of_copies"]) == (9, 7)


def test_equal_versions_of_different_images_are_two_versions() -> None:
    witness = Witness(network())
    black = torch.zeros(4, 3, 2, 2)
    witness.batch(KNOWN[[0, 0, 1, 1]], black)
    found = witness.testimony(network(), KNOWN)
    assert (found["copies_in_batches"], found["versions_of_copies"]) == (4, 2)


def test_probes_count_versions_and_notice_whether_anything_was_done() -> None:
    plain = torch.zeros(4, 3, 2, 2)
    own = plain + torch.tensor([0.0, 1.0, 2.0, 1.0]).view(4, 1, 1, 1)
    witness = Witness(network())
    witness.probe(plain, plain)
    assert witness.testimony(network(), KNOWN)["augmented"] is False
    witness.probe(own, plain)
    witness.probe(plain + 1, plain)
    found = witness.testimony(network(), KNOWN)
    assert (found["probes"], found["probed_copies"], found["probed_versions"]) == (3, 12, 5)
    assert found["augmented"] is True


def train(
    witness: Witness, model: nn.Module, optimiser: torch.optim.Optimizer, rates: list[float]
) -> None:
    for rate in rates:
        write_rate(optimiser, rate, 0.1)
        step(witness, model, optimiser)


def step(witness: Witness, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    inputs = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    optimiser.zero_grad()
    model(inputs).square().mean().backward()
    witness.update(inputs, model, optimiser)
    optimiser.step()


def test_settings_are_what_the_optimiser_held_at_each_update() -> None:
    model = network()
    witness = Witness(model)
    train(witness, model, adamw(model, 9.0, 9.0), [0.1, 0.3, 0.05, 0.2])
    found = witness.testimony(model, KNOWN)
    assert found["settings"]["lr"] == {"first": 0.1, "min": 0.05, "max": 0.3, "last": 0.2}
    decay = {"first": 0.1, "min": 0.1, "max": 0.1, "last": 0.1}
    assert found["settings"]["weight_decay"] == decay
    assert found["settings"]["drop_path"]["max"] == 0
    assert found["updates"] == 4
    assert found["input"] == [3, 2, 2, "float32"]


def test_a_rate_that_a_restored_optimiser_took_back_is_found() -> None:
    # Flaw 4: the hyperparameter is changed first, then the old optimiser state is loaded.
    model = network()
    witness, optimiser = Witness(model), adamw(model, 0.1, 0.01)
    step(witness, model, optimiser)
    before = copy.deepcopy(optimiser.state_dict())
    for group in optimiser.param_groups:
        group["lr"] = 0.5
    optimiser.load_state_dict(before)
    step(witness, model, optimiser)
    lr = witness.testimony(model, KNOWN)["settings"]["lr"]
    assert lr == {"first": 0.1, "min": 0.1, "max": 0.1, "last": 0.1}


def test_a_group_with_a_rate_of_its_own_is_seen() -> None:
    model = network()
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[3].parameters()}]
    witness, optimiser = Witness(model), torch.optim.SGD(groups, lr=0.5)
    step(witness, model, optimiser)
    lr = witness.testimony(model, KNOWN)["settings"]["lr"]
    assert (lr["min"], lr["max"]) == (0.0, 0.5)


def test_what_learns_at_a_multiple_of_the_rate_is_noted_apart() -> None:
    model = nn.Sequential(OrderedDict(trunk=nn.Conv2d(3, 2, 1), head=nn.Conv2d(2, 2, 1)))
    witness = Witness(model)
    train(witness, model, adamw(model, 9.0, 9.0, trunk_lr=0.5), [0.1, 0.3, 0.2])
    settings = witness.testimony(model, KNOWN)["settings"]
    assert settings["lr"] == {"first": 0.1, "min": 0.1, "max": 0.3, "last": 0.2}
    assert settings["lr x0.5"] == {"first": 0.05, "min": 0.05, "max": 0.15, "last": 0.1}


def test_stochastic_depth_is_read_from_the_model() -> None:
    from timm.layers import DropPath

    model = nn.Sequential(network(), DropPath(0.1), DropPath(0.25))
    witness = Witness(model)
    step(witness, model, torch.optim.SGD(model.parameters(), lr=0.1))
    model[2].drop_prob = 0.4
    step(witness, model, torch.optim.SGD(model.parameters(), lr=0.1))
    drop = witness.testimony(model, KNOWN)["settings"]["drop_path"]
    assert drop == {"first": 0.25, "min": 0.25, "max": 0.4, "last": 0.4}


def test_what_no_update_changed_is_named() -> None:
    model = network()
    witness = Witness(model)
    train(witness, model, adamw(model, 0.1, 0.1), [0.1, 0.1])
    found = witness.testimony(model, KNOWN)
    assert found["parameters"] == 2 * 3 + 2 + 2 + 2 + 16 + 2
    assert found["entries_never_changed"] == []
    assert found["buffers_never_changed"] == []
    assert found["parameters_never_changed"] == 0


def test_frozen_parameters_and_statistics_are_named() -> None:
    model = network()
    model[0].requires_grad_(False)
    model[1].eval().requires_grad_(False)  # as a frozen BatchNorm layer
    model[3].bias.requires_grad_(False)
    witness = Witness(model)
    train(witness, model, adamw(model, 0.1, 0.1), [0.1, 0.1])
    found = witness.testimony(model, KNOWN)
    assert found["entries_never_changed"] == ["0.bias", "0.weight", "1.bias", "1.weight", "3.bias"]
    assert found["buffers_never_changed"] == [
        "1.num_batches_tracked", "1.running_mean", "1.running_var",
    ]  # fmt: skip
    assert found["parameters_never_changed"] == 8 + 4 + 2


class WithIdlePart(nn.Module):
    """Its predictions need `used`; `idle` is computed along."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Conv2d(3, 2, 1), nn.Conv2d(3, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        self.idle(x)
        used: Tensor = self.used(x)
        return used


def test_what_is_frozen_and_needed_by_no_prediction_is_told_apart() -> None:
    model = WithIdlePart()
    model.idle.requires_grad_(False)
    model.used.bias.requires_grad_(False)  # this one is needed
    witness = Witness(model)
    train(witness, model, adamw(model, 0.1, 0.1), [0.1, 0.1])
    found = witness.testimony(model, KNOWN)
    assert found["entries_never_changed"] == ["used.bias"]
    assert found["parameters_never_changed"] == 2
    assert found["entries_idle"] == ["idle.bias", "idle.weight"]
    assert found["parameters_idle"] == 3 * 5 + 5
    assert not any(p.requires_grad for p in model.idle.parameters())
    assert model.training


def test_what_could_learn_and_did_not_is_not_told_apart() -> None:
    model = WithIdlePart()
    witness = Witness(model)
    train(witness, model, adamw(model, 0.1, 0.1), [0.1, 0.1])
    found = witness.testimony(model, KNOWN)
    assert found["entries_never_changed"] == ["idle.bias", "idle.weight"]
    assert found["entries_idle"] == []


def test_what_the_next_normalisation_takes_away_is_not_frozen() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2))
    nn.init.constant_(model[0].bias, 3.0)
    nn.init.constant_(model[1].bias, 1.0)
    model[3].bias.requires_grad_(False)
    witness = Witness(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(2):
        step(witness, model, optimiser)
    found = witness.testimony(model, KNOWN)
    assert found["entries_unmoved"] == ["0.bias", "0.weight"]
    assert found["parameters_unmoved"] == 6
    assert found["entries_never_changed"] == ["3.bias"]
    assert found["parameters_never_changed"] == 2


def test_what_has_gradients_and_a_rate_of_nothing_is_frozen() -> None:
    model = network()
    witness = Witness(model)
    groups = [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[3].parameters()}]
    for _ in range(2):
        step(witness, model, torch.optim.SGD(groups, lr=0.1))
    found = witness.testimony(model, KNOWN)
    assert found["entries_unmoved"] == []
    assert found["entries_never_changed"] == ["0.bias", "0.weight", "1.bias", "1.weight"]


def test_a_run_from_before_gradients_were_noted_has_what_never_changed() -> None:
    model = network()
    witness = Witness(model)
    witness.restore({"seen": torch.zeros(0, dtype=torch.int64)}, witness.counters())
    del witness.counters()["undriven"]
    train(witness, model, torch.optim.SGD(model.parameters(), lr=0.1), [1e-30])
    found = witness.testimony(model, KNOWN)
    assert found["entries_unmoved"] == []
    assert "3.weight" in found["entries_never_changed"]


def _go(witness: Witness, model: nn.Module, optimiser: torch.optim.Optimizer, part: int) -> None:
    for number in range(3):
        seen(witness, number, number, 3 * part + number, shift=float(number))
        train(witness, model, optimiser, [0.1 / (1 + part + number)])
    witness.probe(torch.rand(4, 2), torch.zeros(4, 2))
    if part == 1:
        witness.end_epoch()


def test_a_checkpoint_in_the_middle_of_an_epoch_changes_nothing(tmp_path: Any) -> None:
    def fresh() -> TrainState:
        model = network()
        return TrainState(model, adamw(model, 0.1, 0.1), witness=Witness(model))

    def testimony(state: TrainState) -> dict[str, Any]:
        assert state.witness is not None
        return state.witness.testimony(state.model, KNOWN)

    through, first, second = fresh(), fresh(), fresh()
    for state in (through, first):
        assert state.witness is not None
        _go(state.witness, state.model, state.optimiser, 1)
        _go(state.witness, state.model, state.optimiser, 0)
    counters = json.loads(json.dumps(first.write(tmp_path)))
    second.read(tmp_path, counters)
    assert testimony(second) == testimony(first) == testimony(through)
    for state in (through, second):
        assert state.witness is not None
        _go(state.witness, state.model, state.optimiser, 1)
    assert testimony(second) == testimony(through)
    assert testimony(second)["images_seen_by_epoch"] == [6, 6]
    assert json.loads(json.dumps(testimony(second))) == testimony(second)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_versions_of_any_precision(dtype: torch.dtype) -> None:
    witness = Witness(network())
    versions: Tensor = torch.rand(3, 3, 2, 2).to(dtype)
    witness.batch(KNOWN[[0, 0, 0]], versions)
    assert witness.testimony(network(), KNOWN)["versions_of_copies"] == 3
