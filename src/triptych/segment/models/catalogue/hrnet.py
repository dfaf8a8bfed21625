"""The networks published with InverseForm (Borse 2021), trained on Cityscapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from triptych.data.classes import CITYSCAPES
from triptych.normalisation import IMAGENET
from triptych.segment.models.catalogue.entry import ModelEntry
from triptych.segment.models.scales import PUBLISHED_SCALES
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel

_RELEASE = "https://github.com/Qualcomm-AI-research/InverseForm/releases/download/v1.0"
_INVERSEFORM = "Borse 2021, InverseForm (CVPR)"


def _hrnet18(classes: int) -> SegmentationModel:
    from triptych.segment.models.hrnet import HRNet
    from triptych.segment.models.hrnet_trunk import HRNetTrunk

    return HRNet(classes, HRNetTrunk(18, 2, (1, 3, 2)))


def _hrnet16s(classes: int) -> SegmentationModel:
    from triptych.segment.models.hrnet import HRNet
    from triptych.segment.models.hrnet_trunk import HRNetTrunk

    return HRNet(classes, HRNetTrunk(16, 2, (1, 3, 2), halved=True), hidden=120, bias=False)


def _hrnet48_ocr(classes: int) -> SegmentationModel:
    from triptych.segment.models.hrnet_ocr import HRNetOCR
    from triptych.segment.models.hrnet_trunk import HRNetTrunk

    return HRNetOCR(classes, HRNetTrunk(48, 4, (1, 4, 3)))


def _hrnet48_ocr_hms(classes: int) -> SegmentationModel:
    from triptych.segment.models.hms import HRNetOCRMultiScale
    from triptych.segment.models.hrnet_trunk import HRNetTrunk

    return HRNetOCRMultiScale(classes, HRNetTrunk(48, 4, (1, 4, 3)))


def _entry(
    name: str,
    builder: Callable[[int], SegmentationModel],
    parameters: int,
    file: str,
    claimed: float,
    paper: str,
    peak_memory_gib: float,
    scales: tuple[float, ...] = (),
    stride: int = 32,
) -> ModelEntry:
    return ModelEntry(
        name=name,
        builder=builder,
        classes=CITYSCAPES,
        outputs=19,
        parameters=parameters,
        normalisation=IMAGENET,
        weights=Published(
            file=file,
            address=f"{_RELEASE}/{file}",
            sha256=None,
            licence="BSD-3-Clause-Clear",
            claimed={"mIoU": claimed},
            claimed_on="Cityscapes val",
            source="github.com/Qualcomm-AI-research/InverseForm",
        ),
        paper=paper,
        peak_memory_gib=peak_memory_gib,
        scales=scales,
        stride=stride,
        edges=True,
    )


ENTRIES = (
    _entry(
        "hrnet48-ocr-hms-if",
        _hrnet48_ocr_hms,
        72_664_711,
        "hrnet48_OCR_HMS_IF_checkpoint.pth",
        0.870,
        f"{_INVERSEFORM}; Tao 2020, hierarchical multi-scale attention",
        peak_memory_gib=8.9,
        scales=PUBLISHED_SCALES,
    ),
    _entry(
        "hrnet48-ocr-if",
        _hrnet48_ocr,
        70_894_472,
        "hrnet48_OCR_IF_checkpoint.pth",
        0.863,
        f"{_INVERSEFORM}; Yuan 2020, OCR (ECCV)",
        peak_memory_gib=3.2,
    ),
    _entry(
        "hrnet18-if",
        _hrnet18,
        4_092_690,
        "hrnet18_IF_checkpoint.pth",
        0.776,
        f"{_INVERSEFORM}; Wang 2020, HRNet (TPAMI)",
        peak_memory_gib=1.3,
    ),
    _entry(
        "hrnet16s-if",
        _hrnet16s,
        3_255_809,
        "hr16s_4k_slim.pth",
        0.778,
        f"{_INVERSEFORM}; Wang 2020, HRNet (TPAMI)",
        peak_memory_gib=1.0,
        stride=64,  # its trunk's 32, after a convolution of stride 2
    ),
)
