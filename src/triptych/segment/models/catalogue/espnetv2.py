"""ESPNetv2 (Mehta 2019) in four widths, trained on Cityscapes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from triptych.data.classes import CITYSCAPES
from triptych.normalisation import IMAGENET
from triptych.segment.models.catalogue.entry import ModelEntry
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


def _espnetv2(scale: float, classes: int) -> SegmentationModel:
    from triptych.segment.models.espnetv2 import ESPNetv2

    return ESPNetv2(scale, classes)


def _entry(
    scale: str, parameters: int, claimed: float, sha256: str | None, peak_memory_gib: float
) -> ModelEntry:
    file = f"espnetv2_s_{scale}_city_1024x512.pth"
    return ModelEntry(
        name=f"espnetv2-s{scale}",
        builder=partial(_espnetv2, float(scale)),
        classes=CITYSCAPES,
        outputs=20,
        parameters=parameters,
        normalisation=IMAGENET,
        weights=Published(
            file=file,
            address=f"{_EDGENETS}/model/segmentation/model_zoo/espnetv2/{file}",
            sha256=sha256,
            licence="MIT",
            claimed={"mIoU": claimed},
            claimed_on="Cityscapes val at 1024x512",
            source="github.com/sacmehta/EdgeNets",
        ),
        paper="Mehta 2019, ESPNetv2 (CVPR)",
        peak_memory_gib=peak_memory_gib,
    )


_EDGENETS = "https://github.com/sacmehta/EdgeNets/raw/2b232d3f7fb60658755dad1ebca0ffc895cc795e"

ENTRIES = (
    _entry(
        "0.5",
        80_342,
        0.539,
        "9412a86a30f137540ef945d08da3cb7191448956c56c41a64210dab443a9f65f",
        peak_memory_gib=1.3,
    ),
    _entry("1.0", 234_010, 0.601, None, peak_memory_gib=1.4),
    _entry("1.5", 468_362, 0.638, None, peak_memory_gib=1.4),
    _entry(
        "2.0",
        789_242,
        0.664,
        "a72d59699801c7ce8e8b89a53af9097eaaa60dc12180ecde86fd700ba1222fe8",
        peak_memory_gib=1.5,
    ),
)
