"""The table of classification models. Imports no torch: builders do that when they are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


TABLE_SIZE = 32
"""Side of the images that the table's costs are for."""


@dataclass(frozen=True)
class ModelEntry:
    """One line of the table; the costs are for 100 classes and images of 32×32."""

    name: str
    builder: Callable[[int, int], nn.Module]
    """Makes the model with that many classes for images of that size."""
    patch: int
    """Must divide the image size; 1 where every size will do."""
    parameters: int
    macs: int
    """Multiply-accumulates for one image."""
    activations: int
    """Values that convolutions and linear layers put out for one image."""
    paper: str
    original: int | None = None
    """Parameters as the original reports them."""
    note: str = ""


def _resnext(**shape: Any) -> Callable[[int, int], nn.Module]:
    def build(classes: int, image_size: int) -> nn.Module:
        from triptych.classify.models.resnext import resnext

        return resnext(classes, **shape)

    return build


def _vit(**shape: Any) -> Callable[[int, int], nn.Module]:
    def build(classes: int, image_size: int) -> nn.Module:
        from triptych.classify.models.vit import vit

        return vit(classes, image_size, **shape)

    return build


def _cct7(classes: int, image_size: int) -> nn.Module:
    from triptych.classify.models.cct import cct

    return cct(classes, image_size)


def _slvit(classes: int, image_size: int) -> nn.Module:
    from triptych.classify.models.slvit import slvit

    return slvit(classes, image_size)


_XIE = "Xie 2017, ResNeXt (CVPR)"
_DOSOVITSKIY = "Dosovitskiy 2021, ViT (ICLR)"

_ENTRIES = (
    ModelEntry(
        name="resnext29",
        builder=_resnext(),
        patch=1,
        parameters=4_868_004,
        macs=774_148_096,
        activations=3_571_812,
        paper=f"{_XIE}: ResNeXt-29 32x4d",
        original=4_868_004,
    ),
    ModelEntry(
        name="vit13",
        builder=_vit(patch=2, width=192, hidden=768, heads=3, depth=11),
        patch=2,
        parameters=4_965_220,
        macs=1_530_174_336,
        activations=4_934_308,
        paper=_DOSOVITSKIY,
        original=4_915_684,
        note="the original's count leaves out class token and positions: 258 x 192 = 49,536",
    ),
    ModelEntry(
        name="vit6",
        builder=_vit(patch=2, width=384, hidden=768, heads=6, depth=4),
        patch=2,
        parameters=4_878_820,
        macs=1_416_798_720,
        activations=2_861_668,
        paper=_DOSOVITSKIY,
        original=4_878_820,
    ),
    ModelEntry(
        name="cct7",
        builder=_cct7,
        patch=1,
        parameters=3_783_269,
        macs=1_181_639_680,
        activations=3_473_764,
        paper="Hassani 2021: CCT-7/3x1",
        note="3.76 M in its paper, for 10 classes",
    ),
    ModelEntry(
        name="slvit",
        builder=_slvit,
        patch=4,
        parameters=4_842_452,
        macs=330_135_040,
        activations=1_064_804,
        paper="Lee 2021: SPT and LSA",
        note="the paper's depth of 9, made wider (256 for 192) to reach the budget",
    ),
    ModelEntry(
        name="resnext-small",
        builder=_resnext(planes=(16, 32, 64), groups=8, base_width=16, stride=2),
        patch=1,
        parameters=384_804,
        macs=14_656_512,
        activations=219_236,
        paper=f"{_XIE}: 29 layers, 8 groups",
    ),
    ModelEntry(
        name="vit-small",
        builder=_vit(patch=4, width=96, hidden=184, heads=3, depth=5),
        patch=4,
        parameters=387_132,
        macs=27_822_912,
        activations=222_044,
        paper=_DOSOVITSKIY,
    ),
    ModelEntry(
        name="resnext-tiny",
        builder=_resnext(planes=(8, 16, 16), blocks=(1, 1, 1), groups=4, base_width=32, stride=4),
        patch=1,
        parameters=31_396,
        macs=617_728,
        activations=16_100,
        paper=f"{_XIE}: 11 layers, 4 groups",
    ),
    ModelEntry(
        name="vit-tiny",
        builder=_vit(patch=4, width=32, hidden=120, heads=2, depth=2),
        patch=4,
        parameters=31_412,
        macs=2_173_184,
        activations=38_548,
        paper=_DOSOVITSKIY,
    ),
)

ENTRIES = {entry.name: entry for entry in _ENTRIES}
