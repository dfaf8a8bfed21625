"""SegFormer (Xie 2021) in its smallest and its largest size, trained on Cityscapes by NVIDIA."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

from triptych.data.classes import CITYSCAPES
from triptych.normalisation import IMAGENET
from triptych.segment.models.catalogue.entry import ModelEntry
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


def _segformer(size: Literal["B0", "B5"], classes: int) -> SegmentationModel:
    from triptych.segment.models import segformer

    return segformer.SegFormer({"B0": segformer.B0, "B5": segformer.B5}[size], classes)


def _entry(
    size: Literal["B0", "B5"],
    parameters: int,
    claimed: float,
    revision: str,
    sha256: str | None,
    peak_memory_gib: float,
) -> ModelEntry:
    name = f"segformer-{size.lower()}"
    published = f"{name}-finetuned-cityscapes-1024-1024"
    return ModelEntry(
        name=name,
        builder=partial(_segformer, size),
        classes=CITYSCAPES,
        outputs=19,
        parameters=parameters,
        normalisation=IMAGENET,
        weights=Published(
            # There it is called pytorch_model.bin, as every model's file is.
            file=f"{published}.bin",
            address=f"https://huggingface.co/nvidia/{published}/resolve/{revision}/pytorch_model.bin",
            sha256=sha256,
            licence="NVIDIA, research or evaluation only",
            claimed={"mIoU": claimed},
            claimed_on="Cityscapes val, single scale",
            source=f"huggingface.co/nvidia/{published}",
        ),
        paper="Xie 2021, SegFormer (NeurIPS)",
        peak_memory_gib=peak_memory_gib,
    )


ENTRIES = (
    _entry(
        "B0",
        3_719_027,
        0.762,
        "21b3847fae21ddee674abd31129307b6a1235bd9",
        "027ed78d8ff9c535df5a66361c92b9673cca3cb923cbeb8c5802385b6b93194c",
        peak_memory_gib=2.5,
    ),
    _entry(
        "B5",
        84_607_955,
        0.824,
        "2c6f153e4c23c229e2fa2b188eb250607e030cd8",
        None,
        peak_memory_gib=6.2,
    ),
)
