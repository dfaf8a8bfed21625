"""The table of detectors. Imports no torch: builders do that when they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triptych.backbones.sources import INIT_WEIGHTS
from triptych.detect.models.settings import (
    C4,
    FPN,
    FPN_320,
    FPN_600,
    FPN_TINY,
    DetectorSettings,
)
from triptych.normalisation import EFFICIENTNET_LITE, IMAGENET, Normalisation

if TYPE_CHECKING:
    from triptych.detect.models.detector import Detector

TIMM = "timm:"
"""Begins the name of a detector on any of timm's feature extractors."""

TABLE_CLASSES = 20
"""For which the table counts parameters: those of VOC."""

Builder = Callable[["ModelEntry", int, DetectorSettings], "Detector"]


@dataclass(frozen=True)
class ModelEntry:
    """One line of the table."""

    name: str
    builder: Builder
    """Makes the detector of this entry for that many classes, with freshly drawn weights."""
    trunk: str
    """The backbone by the name that torchvision or timm gives it."""
    settings: DetectorSettings
    normalisation: Normalisation
    parameters: int | None = None
    """For 20 classes; None where the detector must be made to know."""
    trainable: int | None = None
    """Of these, with `norm="frozen"` and 2 stages frozen, as pre-trained detectors usually are."""
    paper: str = ""
    licences: Mapping[str, str] = field(default_factory=dict)
    """Licence of the weights by what `init` calls them."""


def _resnet_c4(entry: ModelEntry, classes: int, settings: DetectorSettings) -> Detector:
    from triptych.detect.models.resnet import resnet_c4

    return resnet_c4(entry, classes, settings)


def _resnet_fpn(entry: ModelEntry, classes: int, settings: DetectorSettings) -> Detector:
    from triptych.detect.models.resnet import resnet_fpn

    return resnet_fpn(entry, classes, settings)


def _timm_fpn(entry: ModelEntry, classes: int, settings: DetectorSettings) -> Detector:
    from triptych.detect.models.from_timm import timm_fpn

    return timm_fpn(entry, classes, settings)


def _entry(
    name: str,
    builder: Builder,
    trunk: str,
    settings: DetectorSettings,
    parameters: int,
    trainable: int,
    paper: str,
    normalisation: Normalisation = IMAGENET,
) -> ModelEntry:
    return ModelEntry(
        name=name,
        builder=builder,
        trunk=trunk,
        settings=settings,
        normalisation=normalisation,
        parameters=parameters,
        trainable=trainable,
        paper=paper,
        licences=_licences(trunk),
    )


def _licences(trunk: str) -> dict[str, str]:
    return {init: weights.licence for (of, init), weights in INIT_WEIGHTS.items() if of == trunk}


_ENTRIES = (
    _entry(
        "frcnn-r50-c4",
        _resnet_c4,
        "resnet50",
        C4,
        parameters=33_207_510,
        trainable=32_931_990,
        paper="Ren 2015, Faster R-CNN (NeurIPS); He 2016, ResNet (CVPR), appendix A",
    ),
    _entry(
        "frcnn-r50-fpn",
        _resnet_fpn,
        "resnet50",
        FPN,
        parameters=41_449_656,
        trainable=41_174_136,
        paper="Lin 2017, FPN (CVPR)",
    ),
    _entry(
        "frcnn-r18-fpn",
        _resnet_fpn,
        "resnet18",
        FPN_600,
        parameters=28_380_856,
        trainable=28_214_392,
        paper="Lin 2017, FPN (CVPR)",
    ),
    _entry(
        "frcnn-lite0-fpn",
        _timm_fpn,
        "tf_efficientnet_lite0",
        FPN_320,
        parameters=7_291_000,
        trainable=7_236_968,
        paper="Tan 2019, EfficientNet (ICML), Lite0; Lin 2017, FPN (CVPR)",
        normalisation=EFFICIENTNET_LITE,
    ),
    _entry(
        "frcnn-tiny",
        _timm_fpn,
        "test_efficientnet",
        FPN_TINY,
        parameters=365_428,
        trainable=348_556,
        paper="Tan 2019, EfficientNet (ICML), as small as timm's tests need it; Lin 2017, FPN",
    ),
)

ENTRIES = {entry.name: entry for entry in _ENTRIES}
"""By name, in the order of the table that `triptych models` prints."""


def timm_entry(name: str) -> ModelEntry:
    """The entry of `timm:NAME`. Raises UserError where timm has no such architecture."""
    from triptych.detect.models.from_timm import normalisation_of

    trunk = name.removeprefix(TIMM)
    return ModelEntry(
        name=name,
        builder=_timm_fpn,
        trunk=trunk,
        settings=FPN_600,
        normalisation=normalisation_of(trunk),
        paper=f"Lin 2017, FPN (CVPR), on timm's {trunk}",
        licences=_licences(trunk),
    )
