"""Detectors by name: what each is, and how to make one.

Nothing here imports torch before a model is made, so that listing models is immediate.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from triptych.detect.models.listing import describe, records
from triptych.detect.models.registry import ENTRIES, TABLE_CLASSES, TIMM, ModelEntry, timm_entry
from triptych.detect.models.settings import DetectorSettings
from triptych.errors import UserError
from triptych.own_model import is_own

if TYPE_CHECKING:
    from triptych.detect.models.detector import Detector

__all__ = [
    "DetectorSettings",
    "ModelEntry",
    "create",
    "describe",
    "entry",
    "is_name",
    "names",
    "records",
]


def names() -> tuple[str, ...]:
    """Every detector's name, in the order of the table that `triptych models` prints."""
    return tuple(ENTRIES)


def is_name(model: str) -> bool:
    """Whether that is the name of a detector, in the table or `timm:ARCHITECTURE`."""
    return model in ENTRIES or model.startswith(TIMM)


def entry(name: str) -> ModelEntry:
    """What is known of a detector. Raises UserError with the nearest names where there is none."""
    if name in ENTRIES:
        return ENTRIES[name]
    if name.startswith(TIMM):
        return timm_entry(name)
    if is_own(name):
        raise UserError(
            f"{name}: a detector is not made by a file: take {TIMM}ARCHITECTURE for another "
            "backbone, or compare a detector of your own by its predictions (--predictions "
            "FILE.json, COCO results)"
        )
    near = difflib.get_close_matches(name.lower(), ENTRIES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ENTRIES)}"
    raise UserError(f"no detector is called {name!r}; {hint}, or {TIMM}ARCHITECTURE")


def create(
    name: str, classes: int = TABLE_CLASSES, *, settings: DetectorSettings | None = None
) -> Detector:
    """A detector with freshly drawn weights in training mode, where everything learns.

    See `Detector` for what it takes and gives; labels are from 1 to `classes`. Weights are drawn
    from torch's global generator and never fetched. `settings` are the entry's own where none are
    given. Raises UserError for an unknown name and for settings that do not fit.
    """
    known = entry(name)
    if classes < 1:
        raise UserError(f"a detector needs at least one class, not {classes}")
    wanted = settings or known.settings
    if len(wanted.anchor_sizes) != len(known.settings.anchor_sizes):
        raise UserError(
            f"{name} has {len(known.settings.anchor_sizes)} maps, and anchor_sizes are for "
            f"{len(wanted.anchor_sizes)}"
        )
    return known.builder(known, classes, wanted)
