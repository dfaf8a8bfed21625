from __future__ import annotations

import pytest
import torch

from triptych.errors import UserError
from triptych.training.device import autocast, pick_device


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
