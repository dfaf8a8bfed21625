"""The sizes at which a model with attention over scales looks at an image. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable

from triptych.errors import UserError

PUBLISHED_SCALES = (0.25, 0.5, 1.0, 2.0)
"""Of hierarchical multi-scale attention at inference, by its authors (Tao 2020)."""
TRAINING_SCALES = (0.5, 1.0)
"""The two that they trained with."""


def checked_scales(scales: Iterable[float]) -> tuple[float, ...]:
    """Scales in ascending order, each once.

    Raises UserError unless all are positive and 1, the size of the result, is among them.
    """
    found = tuple(sorted({float(scale) for scale in scales}))
    if not all(0 < scale < math.inf for scale in found):
        raise UserError(f"scales {as_text(found)}: each must be positive, such as 0.5,1,2")
    if 1.0 not in found:
        raise UserError(
            f"scales {as_text(found)}: 1, the image's own size, must be among them, such as 0.5,1,2"
        )
    return found


def as_text(scales: Iterable[float]) -> str:
    """As on the command line: `0.5,1,2`."""
    return ",".join(f"{scale:g}" for scale in scales)
