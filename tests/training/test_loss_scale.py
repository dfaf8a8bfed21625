"""float16: gradients are what they are without it, an overflow leaves an update out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from triptych.training.loss_scale import loss_scaler
from triptych.training.state import TrainState
from triptych.training.witness import Witness

CPU = torch.device("cpu")


def state_of(precision: str) -> TrainState:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return TrainState(
        model=model,
        optimiser=torch.optim.SGD(model.parameters(), 0.1),
        witness=Witness(model),
        scaler=loss_scaler(precision, CPU),  # type: ignore[arg-type]
    )


def step(state: TrainState, factor: float = 1.0) -> None:
    loss = (state.model(torch.ones(4, 3)) ** 2).sum() * factor
    state.gradients(loss)
    assert state.witness is not None
    state.witness.update(torch.ones(4, 3), state.model, state.optimiser)
    state.update()
    state.count_update(4, loss=1.0)


def weights(state: TrainState) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.model.state_dict().items()}


def updates(state: TrainState) -> int:
    assert state.witness is not None
    return int(state.witness.counters()["updates"])


def test_only_float16_scales_its_loss() -> None:
    assert loss_scaler("float32", CPU) is None
    assert loss_scaler("bfloat16", CPU) is None
    assert loss_scaler("float16", CPU) is not None


def test_a_power_of_two_changes_no_gradient() -> None:
    plain, scaled = state_of("float32"), state_of("float16")
    for _ in range(5):
        step(plain)
        step(scaled)
    assert scaled.scaler is not None
    assert scaled.scaler.get_scale() == 65536
    for name, value in weights(plain).items():
        assert torch.equal(weights(scaled)[name], value)


def test_an_overflow_leaves_the_update_out_and_halves_the_scale() -> None:
    state = state_of("float16")
    step(state)
    before = weights(state)
    step(state, 1e36)
    assert (state.step, state.skipped, updates(state)) == (2, 1, 1)
    assert all(torch.equal(weights(state)[name], value) for name, value in before.items())
    assert state.scaler is not None
    assert state.scaler.get_scale() == 32768
    step(state)
    assert (state.step, state.skipped, updates(state)) == (3, 1, 2)
    assert not any(torch.equal(weights(state)[name], value) for name, value in before.items())


def test_gradients_are_unscaled_before_the_step() -> None:
    """So that clipping sees what they are."""
    state = state_of("float16")
    loss = (state.model(torch.ones(4, 3)) ** 2).sum()
    expected = torch.autograd.grad(loss, list(state.model.parameters()), retain_graph=True)
    state.gradients(loss)
    for parameter, gradient in zip(state.model.parameters(), expected, strict=True):
        assert torch.equal(parameter.grad, gradient)  # type: ignore[arg-type]


def test_a_checkpoint_holds_the_scale(tmp_path: Path) -> None:
    left, whole = state_of("float16"), state_of("float16")
    for factor in (1.0, 1e36, 1.0):
        step(left, factor)
        step(whole, factor)
    told = json.loads(json.dumps(left.write(tmp_path)))
    again = state_of("float16")
    again.read(tmp_path, told)
    assert again.scaler is not None
    assert again.scaler.get_scale() == 32768
    assert again.skipped == 1
    for factor in (1.0, 1e36, 1.0):
        step(again, factor)
        step(whole, factor)
    assert again.scaler.state_dict() == whole.scaler.state_dict()  # type: ignore[union-attr]
    assert weights(again).keys() == weights(whole).keys()
    assert all(torch.equal(weights(again)[n], v) for n, v in weights(whole).items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_other_precisions_keep_their_checkpoints(precision: str, tmp_path: Path) -> None:
    state = state_of(precision)
    step(state)
    told: dict[str, Any] = state.write(tmp_path)
    assert "scaler" not in told
    del told["skipped"]  # as in a checkpoint from before there was one
    again = state_of(precision)
    again.read(tmp_path, told)
    assert again.skipped == 0
