"""What does training with InverseForm add, and how much of it is the edge head?"""

from __future__ import annotations

from dataclasses import replace

from triptych import recipe as recipes
from triptych.compare import Comparison
from triptych.segment.recipes import SegmentRecipe


def comparison(data: str = "camvid:CamVid") -> Comparison:
    """The street network with nothing besides the labels, with edges, and with InverseForm.

    Three seeds, leaving out one of CamVid's three drives: each of the nine cells is three
    trainings of 6 epochs on crops of 256x192, about three hours of processor time for all.
    """
    base = recipes.get("segment/street-folds")
    assert isinstance(base, SegmentRecipe)
    # In float32, which every processor has: without bfloat16 in hardware a step takes ten times
    # as long in it.
    base = replace(
        base,
        data=data,
        precision="float32",
        epochs=6,
        crop=(192, 256),
        scale=(0.6, 1.4),
        evaluate_every=6,
        ema=0.98,
    )
    return Comparison(
        question="Does InverseForm improve the labels, or their borders?",
        arms={
            "labels": base,
            "edges": replace(base, boundary="edges"),
            "inverseform": replace(base, boundary="inverseform"),
        },
        varies=frozenset({"boundary"}),
        seeds=(0, 1, 2),
        metric="mIoU",
        margin=0.01,
        pairs=(("edges", "labels"), ("inverseform", "labels"), ("inverseform", "edges")),
        beside=("BF", "mIoU@0-60", "mIoU@60-90", "mIoU@90-120", "mIoU@120-255"),
    )
