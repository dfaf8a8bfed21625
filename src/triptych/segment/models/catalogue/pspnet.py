"""PSPNet (Zhao 2017) on two ResNets, trained on Cityscapes by mmsegmentation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from triptych.data.classes import CITYSCAPES
from triptych.normalisation import Normalisation
from triptych.segment.models.catalogue.entry import ModelEntry
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel

_MMSEG = "https://download.openmmlab.com/mmsegmentation/v0.5/pspnet"


def _pspnet(depth: Literal[50, 101], classes: int) -> SegmentationModel:
    from triptych.segment.models.pspnet import PSPNet

    return PSPNet(depth, classes)


def _entry(
    depth: Literal[50, 101], parameters: int, claimed: float, stamp: str, peak_memory_gib: float
) -> ModelEntry:
    folder = f"pspnet_r{depth}-d8_512x1024_80k_cityscapes"
    file = f"{folder}_{stamp}.pth"
    return ModelEntry(
        name=f"pspnet-r{depth}",
        builder=partial(_pspnet, depth),
        classes=CITYSCAPES,
        outputs=19,
        parameters=parameters,
        normalisation=Normalisation(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
        weights=Published(
            file=file,
            address=f"{_MMSEG}/{folder}/{file}",
            # mmsegmentation ends a file's name with the first digits of its digest.
            sha256=stamp.rpartition("-")[2],
            licence="Apache-2.0",
            claimed={"mIoU": claimed},
            claimed_on="Cityscapes val, single scale",
            source="github.com/open-mmlab/mmsegmentation, 80,000 iterations",
        ),
        paper="Zhao 2017, PSPNet (CVPR)",
        peak_memory_gib=peak_memory_gib,
    )


ENTRIES = (
    _entry(50, 48_975_494, 0.7855, "20200606_112131-2376f12b", peak_memory_gib=2.7),
    _entry(101, 67_967_622, 0.7976, "20200606_112211-e1e1100f", peak_memory_gib=2.7),
)
