from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from triptych.training.ema import Ema
from triptych.training.optimisers import adamw
from triptych.training.schedules import write_rate
from triptych.training.state import TrainState, parameter_count


def fresh(seed: int) -> TrainState:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 2))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TrainState(model=model, optimiser=adamw(model, 0.1, 0.1), ema=Ema(model, 0.9))


def advance(state: TrainState, steps: int) -> None:
    for _ in range(steps):
        write_rate(state.optimiser, 0.01, 0.1)
        torch.manual_seed(state.step)
        loss = state.model(torch.randn(4, 3, 8, 8)).square().mean()
        state.optimiser.zero_grad()
        loss.backward()
        state.optimiser.step()
        state.step += 1
        assert state.ema is not None
        state.ema.update(state.model, state.step)
        state.sums["loss"] = state.sums.get("loss", 0.0) + loss.item()


def test_a_restored_state_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    through, first, second = fresh(0), fresh(0), fresh(1)
    advance(through, 5)
    advance(first, 2)
    counters = first.write(tmp_path)
    second.read(tmp_path, counters)
    advance(second, 3)
    assert second.sums == through.sums
    assert second.step == 5
    assert through.ema is not None
    assert second.ema is not None
    for ours, theirs in [
        (second.model.state_dict(), through.model.state_dict()),
        (second.ema.state_dict(), through.ema.state_dict()),
    ]:
        assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_restoring_cannot_undo_a_changed_rate(tmp_path: Path) -> None:
    donor, taker = fresh(0), fresh(1)
    advance(donor, 1)
    write_rate(donor.optimiser, 0.5, 0.5)
    counters = donor.write(tmp_path)
    write_rate(taker.optimiser, 0.02, 0.0)
    taker.read(tmp_path, counters)
    assert taker.optimiser.param_groups[0]["lr"] == 0.02


def test_nothing_is_pickled(tmp_path: Path) -> None:
    state = fresh(0)
    advance(state, 1)
    state.write(tmp_path)
    assert {p.suffix for p in tmp_path.iterdir()} == {".safetensors"}


def test_ema_is_the_weighted_mean_of_the_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    ema = Ema(model, 0.9)
    nn.init.constant_(model.weight, 2.0)
    ema.update(model, step=1_000_000)
    assert torch.isclose(ema.model.weight, torch.tensor(1.1)).all()
    ema.update(model, step=0)  # warm-up: decay (1 + 0) / (10 + 0)
    assert torch.isclose(ema.model.weight, torch.tensor(0.1 * 1.1 + 0.9 * 2.0)).all()


def test_parameter_count() -> None:
    assert parameter_count(nn.Linear(3, 4)) == 16
