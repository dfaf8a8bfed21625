"""DABNet (Li 2019), trained on Cityscapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.data.classes import CITYSCAPES
from triptych.normalisation import Normalisation
from triptych.segment.models.catalogue.entry import ModelEntry
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


def _dabnet(classes: int) -> SegmentationModel:
    from triptych.segment.models.dabnet import DABNet

    return DABNet(classes)


ENTRIES = (
    ModelEntry(
        name="dabnet",
        builder=_dabnet,
        classes=CITYSCAPES,
        outputs=19,
        parameters=756_643,
        normalisation=Normalisation(mean=(72.392, 82.909, 73.158)),
        weights=Published(
            file="dabnet_cityscapes.safetensors",
            # The published file is a Paddle pickle, which is not loaded; this is its conversion.
            address=None,
            sha256="d4ad07321f18e68299afb5afd68dfdabc8f33379b94d7baf50ac615d19ba6311",
            licence="MIT",
            claimed={"mIoU": 0.696},
            claimed_on="Cityscapes val",
            source="best.params of github.com/WenmuZhou/DABNet_Paddle, as safetensors",
        ),
        paper="Li 2019, DABNet (BMVC)",
        peak_memory_gib=1.0,
    ),
)
