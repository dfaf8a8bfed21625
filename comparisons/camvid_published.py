"""Which published Cityscapes weights label CamVid's frames better, drive by drive?"""

from __future__ import annotations

from triptych.compare import Comparison, Predictions

SIZE = (480, 640)


def comparison() -> Comparison:
    """Fixed weights: a verdict on these weights and these drives, none on ways of training."""
    return Comparison(
        question="Which published Cityscapes weights label CamVid better at 640x480?",
        arms={
            "espnetv2-s2.0": Predictions("espnetv2-s2.0", size=SIZE),
            "espnetv2-s0.5": Predictions("espnetv2-s0.5", size=SIZE),
            "dabnet": Predictions("dabnet", size=SIZE),
        },
        varies=frozenset(),
        seeds=(),
        metric="mIoU",
        margin=0.02,
        data="camvid:CamVid",
        split="trainval",
    )
