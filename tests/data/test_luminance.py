"""The brightness of a frame and its bin."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.data.luminance import luminance, luminance_bin


@pytest.mark.parametrize(
    ("colour", "value"),
    [((255, 0, 0), 76.245), ((0, 255, 0), 149.685), ((0, 0, 255), 29.07)],
)
def test_rec_601(colour: tuple[int, int, int], value: float) -> None:
    assert luminance(np.full((3, 5, 3), colour, np.uint8)) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("grey", [0, 59, 60, 61, 89, 90, 119, 120, 255])
def test_grey_is_itself_to_the_bit(grey: int) -> None:
    value = luminance(np.full((7, 11, 3), grey, np.uint8))
    assert value == grey
    edges = {"0-60": (0, 60), "60-90": (60, 90), "90-120": (90, 120), "120-255": (120, 256)}
    low, high = edges[luminance_bin(value)]
    assert low <= grey < high
