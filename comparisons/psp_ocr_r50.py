"""The question of `psp_ocr.py` on the trunk that the heads were published with, for a GPU.

Not run yet. `triptych compare psp-ocr-r50 --set data=camvid:DIR`.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from triptych.compare import Comparison

_psp_ocr = runpy.run_path(str(Path(__file__).with_name("psp_ocr.py")))["comparison"]


def comparison(data: str = "camvid:CamVid") -> Comparison:
    """Three arms on a dilated ResNet-50 with torchvision's ImageNet weights, otherwise the same.

    The heads are as wide as published. Whole frames of 480x360, batches of 16, poly schedule and
    scales from 0.5 to 2 as is usual with them; the trunk learns at a tenth of the heads' rate, as
    in PSPNet (Zhao 2017).
    """
    asked: Comparison = _psp_ocr(
        data,
        "r50",
        precision="bfloat16",
        epochs=200,
        batch_size=16,
        crop=(360, 480),
        scale=(0.5, 2.0),
        schedule="poly",
        trunk_lr=0.1,
        evaluate_every=50,
        ema=0.995,
    )
    return asked
