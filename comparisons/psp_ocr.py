"""Does a network with OCR and InverseForm beat PSPNet, in dim light and at borders?

The original's pictures say so, of networks that differ in trunk, data and training. Here the heads
alone differ. The published networks join, item by item and outside the verdict, where their weights
are at hand: `triptych compare psp-ocr --set data=camvid:DIR --predictions hrnet48-ocr-hms-if
--predictions pspnet-r101`, also when all is trained already (`--size 960x720` resizes for them).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from triptych import recipe as recipes
from triptych.compare import Comparison
from triptych.segment.recipes import SegmentRecipe

PILOTS = (
    "a pilot of 5 epochs (1 seed) had ocr ahead of psp, 0.413 against 0.408; 3 epochs were chosen "
    "afterwards, for time",
)


def comparison(
    data: str = "camvid:CamVid", trunk: Literal["lite0", "r50"] = "lite0", **changes: Any
) -> Comparison:
    """Three arms on one trunk, three seeds, leaving out one of CamVid's three drives.

    Each of the nine cells is three trainings of 3 epochs on crops of 256x192: on
    EfficientNet-Lite0 about two and a half hours of processor time for all. `changes` are made to
    the recipe of every arm. `psp_ocr_r50.py` asks the same on ResNet-50, for a GPU.
    """
    base = recipes.get("segment/street-folds")
    assert isinstance(base, SegmentRecipe)
    # In float32, which every processor has: without bfloat16 in hardware a step takes ten times
    # as long in it.
    base = replace(
        base,
        data=data,
        precision="float32",
        epochs=3,
        crop=(192, 256),
        scale=(0.6, 1.4),
        evaluate_every=3,
        ema=0.98,
    )
    base = replace(base, **changes)
    return Comparison(
        question="Is OCR, or OCR with InverseForm, better than pyramid pooling on one trunk?",
        arms={
            "psp": replace(base, model=f"psp-{trunk}"),
            "ocr": replace(base, model=f"ocr-{trunk}"),
            "ocr-inverseform": replace(base, model=f"ocr-{trunk}", boundary="inverseform"),
        },
        varies=frozenset({"model", "boundary"}),
        seeds=(0, 1, 2),
        metric="mIoU",
        margin=0.01,
        pairs=(("ocr", "psp"), ("ocr-inverseform", "psp"), ("ocr-inverseform", "ocr")),
        beside=("BF", "mIoU@0-60", "mIoU@60-90", "mIoU@90-120", "mIoU@120-255"),
        notes=PILOTS if trunk == "lite0" else (),
    )
