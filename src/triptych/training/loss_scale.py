"""Training in float16: the loss is scaled up, so that small gradients do not vanish.

Micikevicius 2018, section 3.2, with torch's dynamic scale: it is halved where a gradient is not
finite, and that update is left out; it is doubled after 2,000 updates without one. float16 is for
GPUs that have no bfloat16.
"""

from __future__ import annotations

import torch

from triptych.recipe import Precision


def loss_scaler(precision: Precision, device: torch.device) -> torch.amp.GradScaler | None:
    """What scales the loss of a run; None where its precision has the range of float32."""
    return torch.amp.GradScaler(device.type) if precision == "float16" else None
