from __future__ import annotations

import math

import pytest
import torch

from triptych.training.optimisers import adamw
from triptych.training.schedules import factor, write_rate


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("constant", 0.0, 1.0),
        ("constant", 1.0, 1.0),
        ("cosine", 0.0, 1.0),
        ("cosine", 0.5, 0.5),
        ("cosine", 1 / 3, 0.75),
        ("cosine", 1.0, 0.0),
        ("poly", 0.0, 1.0),
        ("poly", 0.75, 0.25**0.9),
        ("poly", 1.0, 0.0),
    ],
)
def test_shapes(schedule: str, progress: float, expected: float) -> None:
    assert factor(schedule, progress) == pytest.approx(expected)  # type: ignore[arg-type]


def test_warmup_is_linear_and_then_the_schedule_begins_at_its_peak() -> None:
    assert factor("cosine", 0.05, warmup=0.1) == pytest.approx(0.5)
    assert factor("cosine", 0.1, warmup=0.1) == 1.0
    assert factor("cosine", 0.55, warmup=0.1) == pytest.approx(0.5)
    assert factor("cosine", 1.0, floor=0.01) == pytest.approx(0.01)


def test_the_written_rate_is_the_one_that_takes_effect() -> None:
    # One AdamW step from zero moments moves each weight by lr * sign(gradient), after decay.
    model = torch.nn.Linear(2, 1)
    torch.nn.init.ones_(model.weight)
    torch.nn.init.ones_(model.bias)
    optimiser = adamw(model, 123.0, 9.0)
    write_rate(optimiser, 0.1, 0.5)
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    assert model.weight[0].tolist() == pytest.approx([1 - 0.1 * 0.5 - 0.1] * 2, abs=1e-6)
    assert model.bias.item() == pytest.approx(1 - 0.1, abs=1e-6)  # biases do not decay
    assert math.isclose(optimiser.param_groups[0]["lr"], 0.1)
