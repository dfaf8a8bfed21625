"""Models of this project's own design."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.data.classes import CITYSCAPES
from triptych.normalisation import IMAGENET
from triptych.segment.models.catalogue.entry import ModelEntry

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


def _tiny(classes: int) -> SegmentationModel:
    from triptych.segment.models.tiny import Tiny

    return Tiny(classes)


ENTRIES = (
    ModelEntry(
        name="tiny",
        builder=_tiny,
        classes=CITYSCAPES,
        outputs=19,
        parameters=505_891,
        normalisation=IMAGENET,
        weights=None,
        paper="none: a baseline that trains from scratch within a minute",
    ),
)
