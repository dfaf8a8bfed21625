from __future__ import annotations

import logging

import pytest
import torch

from triptych.errors import UserError
from triptych.training import device as devices
from triptych.training.device import autocast, pick_device, training_device


@pytest.mark.parametrize("name", ["gpu", "mps", "meta", ""])
def test_other_devices_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="write auto, cpu or cuda"):
        pick_device(name)


def test_auto_takes_what_is_there() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_the_one_that_is_named(precision: str) -> None:
    with autocast(torch.device("cpu"), precision):  # type: ignore[arg-type]
        product = torch.ones(4, 4) @ torch.ones(4, 4)
    assert product.dtype == getattr(torch, precision)


@pytest.mark.parametrize(
    ("hardware", "precision", "warned"),
    [
        (False, "bfloat16", True),
        (True, "bfloat16", False),
        (False, "float16", True),
        (True, "float16", False),
        (False, "float32", False),
    ],
)
def test_an_emulated_precision_is_named_once(
    hardware: bool,
    precision: str,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(devices, "has_bfloat16", lambda: hardware)
    monkeypatch.setattr(devices, "has_float16", lambda: hardware)
    devices._warn_of_emulation.cache_clear()
    with caplog.at_level(logging.WARNING, "triptych"):
        for _ in range(2):
            training_device("cpu", precision)  # type: ignore[arg-type]
    said = f"no {precision}, so training in it takes several times as long as in float32; --set"
    lines = [r.message for r in caplog.records if said in r.message]
    assert len(lines) == (1 if warned else 0)
