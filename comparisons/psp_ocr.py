"""Does a network with OCR and InverseForm beat PSPNet, in dim light and at borders?

The original's pictures say so, of networks that differ in trunk, data and training. Here the heads
alone differ.
"""

from __future__ import annotations

from dataclasses import replace

from triptych import recipe as recipes
from triptych.compare import Comparison
from triptych.segment.recipes import SegmentRecipe


def comparison(data: str = "camvid:CamVid") -> Comparison:
    """Three arms on EfficientNet-Lite0, three seeds, leaving out one of CamVid's three drives.

    Each of the nine cells is three trainings of 10 epochs on crops of 256x192: about an hour and a
    half on 2 cores for all.
    """
    base = recipes.get("segment/street-folds")
    assert isinstance(base, SegmentRecipe)
    base = replace(
        base, data=data, epochs=10, crop=(192, 256), scale=(0.6, 1.4), evaluate_every=10, ema=0.98
    )
    return Comparison(
        question="Is OCR, or OCR with InverseForm, better than pyramid pooling on one trunk?",
        arms={
            "psp": replace(base, model="psp-lite0"),
            "ocr": replace(base, model="ocr-lite0"),
            "ocr-inverseform": replace(base, model="ocr-lite0", boundary="inverseform"),
        },
        varies=frozenset({"model", "boundary"}),
        seeds=(0, 1, 2),
        metric="mIoU",
        margin=0.01,
        pairs=(("ocr", "psp"), ("ocr-inverseform", "psp"), ("ocr-inverseform", "ocr")),
        beside=("BF", "mIoU@0-60", "mIoU@60-90", "mIoU@90-120", "mIoU@120-255"),
    )
