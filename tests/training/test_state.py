from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from triptych.errors import UserError
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


def test_counters_go_on_where_they_stood(tmp_path: Path) -> None:
    state, other = fresh(0), fresh(1)
    advance(state, 2)
    state.epoch, state.seconds, state.waited = 3, 5.5, 1.25
    counters = state.write(tmp_path)
    other.read(tmp_path, counters)
    assert (other.epoch, other.step, other.seconds, other.waited) == (3, 2, 5.5, 1.25)
    # A checkpoint from before there was such a counter.
    del counters["waited"]
    third = fresh(1)
    third.read(tmp_path, counters)
    assert (third.epoch, third.seconds, third.waited) == (3, 5.5, 0.0)


@pytest.mark.parametrize("file", ["model.safetensors", "ema.safetensors"])
def test_weights_of_another_model_are_one_clear_line(tmp_path: Path, file: str) -> None:
    state = fresh(0)
    advance(state, 1)
    counters = state.write(tmp_path)
    entries = load_file(tmp_path / file)
    del entries["1.weight"]
    save_file(entries, tmp_path / file)
    with pytest.raises(UserError, match=r'cannot be gone on from.*"1\.weight"') as error:
        fresh(1).read(tmp_path, counters)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)
