"""The table of segmentation models. Imports no torch: builders do that when they are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from triptych.data.classes import CITYSCAPES, ClassSet
from triptych.normalisation import IMAGENET, Normalisation
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


@dataclass(frozen=True)
class ModelEntry:
    """One line of the table."""

    name: str
    builder: Callable[[int], SegmentationModel]
    """Makes the model with that many outputs."""
    classes: ClassSet
    outputs: int
    """Logits of the published weights; those past the classes (void) are no prediction."""
    parameters: int
    """With that many outputs."""
    normalisation: Normalisation
    weights: Published | None
    """None for a model that only ever is trained from scratch."""
    paper: str


def _espnetv2(scale: float, classes: int) -> SegmentationModel:
    from triptych.segment.models.espnetv2 import ESPNetv2

    return ESPNetv2(scale, classes)


def _dabnet(classes: int) -> SegmentationModel:
    from triptych.segment.models.dabnet import DABNet

    return DABNet(classes)


def _tiny(classes: int) -> SegmentationModel:
    from triptych.segment.models.tiny import Tiny

    return Tiny(classes)


def _espnetv2_entry(scale: str, parameters: int, claimed: float, sha256: str | None) -> ModelEntry:
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
    )


_EDGENETS = "https://github.com/sacmehta/EdgeNets/raw/2b232d3f7fb60658755dad1ebca0ffc895cc795e"

_ENTRIES = (
    _espnetv2_entry(
        "0.5", 80_342, 0.539, "9412a86a30f137540ef945d08da3cb7191448956c56c41a64210dab443a9f65f"
    ),
    _espnetv2_entry("1.0", 234_010, 0.601, None),
    _espnetv2_entry("1.5", 468_362, 0.638, None),
    _espnetv2_entry(
        "2.0", 789_242, 0.664, "a72d59699801c7ce8e8b89a53af9097eaaa60dc12180ecde86fd700ba1222fe8"
    ),
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
    ),
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

ENTRIES = {entry.name: entry for entry in _ENTRIES}
