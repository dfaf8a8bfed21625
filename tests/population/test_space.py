"""Dimensions: what is drawn lies inside, is spread as it should be, and clamping is the nearest."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from triptych.errors import UserError
from triptych.population.space import Choice, LogUniform, Space, Uniform
from triptych.training.seeding import stream

SPACE = Space({"lr": LogUniform(1e-6, 1e-3), "drop": Uniform(0.0, 0.3), "batch": Choice((32, 64))})
NUMBERS = some.floats(allow_nan=False, allow_infinity=False, width=32)


@settings(max_examples=40, deadline=None)
@given(some.integers(0, 2**40))
def test_what_is_drawn_lies_in_the_space(seed: int) -> None:
    hypers = SPACE.sample(stream(seed, "x"))
    assert SPACE.contains(hypers)
    assert SPACE.clamp(hypers) == hypers
    assert isinstance(hypers["batch"], int)
    assert hypers == SPACE.sample(stream(seed, "x"))


@settings(deadline=None)
@given(NUMBERS, NUMBERS, NUMBERS)
def test_clamping_leads_inside_to_the_nearest(lr: float, drop: float, batch: float) -> None:
    clamped = SPACE.clamp({"lr": lr, "drop": drop, "batch": batch})
    assert SPACE.contains(clamped)
    assert abs(clamped["batch"] - batch) == min(abs(32 - batch), abs(64 - batch))
    for name, low, high in (("lr", 1e-6, 1e-3), ("drop", 0.0, 0.3)):
        value = {"lr": lr, "drop": drop}[name]
        assert clamped[name] == (low if value < low else high if value > high else value)


def test_draws_are_uniform_in_their_own_measure() -> None:
    generator = stream(0, "many")
    drawn = [SPACE.sample(generator) for _ in range(4000)]
    quarters = [1e-6 * 1000 ** (i / 4) for i in range(5)]
    for i in range(4):
        share = sum(quarters[i] <= each["lr"] < quarters[i + 1] for each in drawn) / len(drawn)
        assert share == pytest.approx(0.25, abs=0.03)
        share = sum(0.075 * i <= each["drop"] < 0.075 * (i + 1) for each in drawn) / len(drawn)
        assert share == pytest.approx(0.25, abs=0.03)
    share = sum(each["batch"] == 32 for each in drawn) / len(drawn)
    assert share == pytest.approx(0.5, abs=0.03)


def test_a_space_knows_what_is_outside() -> None:
    inside = {"lr": 1e-4, "drop": 0.1, "batch": 64}
    assert SPACE.contains(inside)
    for change in ({"lr": 2e-3}, {"drop": -0.1}, {"batch": 48}, {"lr": math.nan}, {"else": 1}):
        assert not SPACE.contains(inside | change)
    assert not SPACE.contains({"lr": 1e-4})


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (Uniform, (1.0, 1.0), "holds no numbers"),
        (Uniform, (0.0, math.inf), "holds no numbers"),
        (LogUniform, (0.0, 1.0), "must lie above 0"),
        (Choice, ((),), "a choice needs values"),
        (Choice, ((1, 1),), "each once"),
    ],
)
def test_impossible_dimensions_are_refused(
    kind: type, arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        kind(*arguments)
