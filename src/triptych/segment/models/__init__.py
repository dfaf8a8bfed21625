"""Segmentation models by name: what each is, and how to make one.

Nothing here imports torch before a model is made, so that listing models is immediate.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from triptych.errors import UserError
from triptych.own_model import is_own
from triptych.segment.models.catalogue import ENTRIES, ModelEntry
from triptych.segment.models.listing import (
    describe,
    describe_weights,
    records,
    weight_records,
)
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel

__all__ = [
    "ModelEntry",
    "create",
    "describe",
    "describe_weights",
    "entry",
    "is_name",
    "names",
    "published",
    "records",
    "weight_records",
]


_SMP = "smp:"  # begins the name of a model of segmentation-models-pytorch


def names() -> tuple[str, ...]:
    """Every model name, in the order of the table that `triptych models` prints."""
    return tuple(ENTRIES)


def is_name(model: str) -> bool:
    """Whether that is the name of a model: of the table, `smp:ARCHITECTURE:ENCODER`, or
    `PATH.py:FUNCTION`, one of the user's own."""
    return model in ENTRIES or model.startswith(_SMP) or is_own(model)


def entry(name: str) -> ModelEntry:
    """What is known of a model. Raises UserError with the nearest names where there is none."""
    if name in ENTRIES:
        return ENTRIES[name]
    if name.startswith(_SMP):
        from triptych.segment.models.from_smp import smp_entry

        return smp_entry(name)
    if is_own(name):
        from triptych.segment.models.from_file import file_entry

        return file_entry(name)
    near = difflib.get_close_matches(name.lower(), ENTRIES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ENTRIES)}"
    raise UserError(f"no segmentation model is called {name!r}; {hint}")


def create(name: str, classes: int | None = None) -> SegmentationModel:
    """A model with freshly drawn weights, in training mode.

    Maps normalised images (N, 3, H, W) to logits (N, classes, H, W). Without `classes` it has the
    outputs of its published weights (20 for ESPNetv2: 19 classes and void), so that
    `load_published` fits. Raises UserError for an unknown name.
    """
    known = entry(name)
    if classes is not None and classes < 1:
        raise UserError(f"a model needs at least one class, not {classes}")
    return known.builder(known.outputs if classes is None else classes)


def published(name: str) -> Published:
    """The published weights of a model. Raises UserError for an unknown name or none published."""
    weights = entry(name).weights
    if weights is None:
        raise UserError(f"{name} has no published weights: train it, it is made for that")
    return weights
