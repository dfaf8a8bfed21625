"""Models of this project's own design."""

from __future__ import annotations

from collections.abc import Callable
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


def _psp_lite0(classes: int) -> SegmentationModel:
    from triptych.segment.models.heads_on_trunk import PSPOnTrunk
    from triptych.segment.models.lite_trunk import LiteTrunk

    return PSPOnTrunk(classes, LiteTrunk(0, output_stride=16), mid=128)


def _ocr_lite0(classes: int) -> SegmentationModel:
    from triptych.segment.models.heads_on_trunk import OCROnTrunk
    from triptych.segment.models.lite_trunk import LiteTrunk

    return OCROnTrunk(classes, LiteTrunk(0, output_stride=16), mid=128, key=64)


def _psp_r50(classes: int) -> SegmentationModel:
    from triptych.segment.models.heads_on_trunk import PSPOnTrunk
    from triptych.segment.models.resnet_trunk import ResNetTrunk

    return PSPOnTrunk(classes, ResNetTrunk())


def _ocr_r50(classes: int) -> SegmentationModel:
    from triptych.segment.models.heads_on_trunk import OCROnTrunk
    from triptych.segment.models.resnet_trunk import ResNetTrunk

    return OCROnTrunk(classes, ResNetTrunk())


def _headed(
    name: str,
    builder: Callable[[int], SegmentationModel],
    parameters: int,
    peak_memory_gib: float,
) -> ModelEntry:
    head, _, trunk = name.partition("-")
    return ModelEntry(
        name=name,
        builder=builder,
        classes=CAMVID,
        outputs=11,
        parameters=parameters,
        normalisation=EFFICIENTNET_LITE if trunk == "lite0" else IMAGENET,
        weights=None,
        paper=f"{_HEADS[head]} on {_TRUNKS[trunk]}, to be compared",
        peak_memory_gib=peak_memory_gib,
    )


_HEADS = {"psp": "Zhao 2017, PSPNet's head", "ocr": "Yuan 2020, OCR's head"}
_TRUNKS = {"lite0": "EfficientNet-Lite0 (Tan 2019)", "r50": "a dilated ResNet-50 (He 2016)"}


def _street(
    name: str,
    variant: int,
    parameters: int,
    weights: Published | None = None,
    agreement: float | None = None,
) -> ModelEntry:
    return ModelEntry(
        name=name,
        builder=partial(_lite, variant=variant),
        classes=CAMVID,
        outputs=11,
        parameters=parameters,
        normalisation=EFFICIENTNET_LITE,
        weights=weights,
        agreement=agreement,
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
    _street("street", 0, 3_119_195, STREET, agreement=0.98),
    _street("street-large", 2, 4_522_267),
    _headed("psp-lite0", _psp_lite0, 4_454_166, peak_memory_gib=1.3),
    _headed("ocr-lite0", _ocr_lite0, 3_511_062, peak_memory_gib=1.3),
    _headed("psp-r50", _psp_r50, 56_031_318, peak_memory_gib=2.7),
    _headed("ocr-r50", _ocr_r50, 38_359_638, peak_memory_gib=1.9),
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
