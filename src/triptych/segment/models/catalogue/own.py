"""Models of this project's own design."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from triptych.data.classes import CAMVID, CITYSCAPES
from triptych.normalisation import EFFICIENTNET_LITE, IMAGENET
from triptych.segment.models.catalogue.entry import ModelEntry
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


def _tiny(classes: int) -> SegmentationModel:
    from triptych.segment.models.tiny import Tiny

    return Tiny(classes)


def _lite(classes: int, variant: int) -> SegmentationModel:
    from triptych.segment.models.lite import Lite

    return Lite(classes, variant)


def _headed(classes: int, head: str) -> SegmentationModel:
    from triptych.segment.models import lite_heads

    return lite_heads.LitePSP(classes) if head == "psp" else lite_heads.LiteOCR(classes)


def _headed_entry(head: str, parameters: int, paper: str) -> ModelEntry:
    return ModelEntry(
        name=f"{head}-lite0",
        builder=partial(_headed, head=head),
        classes=CAMVID,
        outputs=11,
        parameters=parameters,
        normalisation=EFFICIENTNET_LITE,
        weights=None,
        paper=f"{paper} on EfficientNet-Lite0 (Tan 2019), to be compared",
    )


def _street(
    name: str, variant: int, parameters: int, weights: Published | None = None
) -> ModelEntry:
    return ModelEntry(
        name=name,
        builder=partial(_lite, variant=variant),
        classes=CAMVID,
        outputs=11,
        parameters=parameters,
        normalisation=EFFICIENTNET_LITE,
        weights=weights,
        paper=f"none: EfficientNet-Lite{variant} (Tan 2019) with a top-down path back to 1/2",
        peak_memory_gib=1.2,
    )


STREET = Published(
    file="street.safetensors",
    address=None,
    sha256="4dea24d8366c531626ad7744f582f5a0a76ca8b3874ed172919b7af5f2ae12a6",
    licence="MIT; trained on CamVid, which is for research",
    claimed={},
    claimed_on="",
    source="this project, segment/street",
)
"""Comes with the package."""

ENTRIES = (
    _street("street", 0, 3_119_195, STREET),
    _street("street-large", 2, 4_522_267),
    _headed_entry("psp", 4_454_166, "Zhao 2017, PSPNet's head"),
    _headed_entry("ocr", 3_511_062, "Yuan 2020, OCR's head"),
    ModelEntry(
        name="tiny",
        builder=_tiny,
        classes=CITYSCAPES,
        outputs=19,
        parameters=505_891,
        normalisation=IMAGENET,
        weights=None,
        paper="none: a baseline that trains from scratch within a minute",
        peak_memory_gib=0.8,
    ),
)
