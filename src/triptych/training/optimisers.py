"""Optimisers as the recipes use them."""

from __future__ import annotations

import torch
from torch import nn

from triptych.errors import UserError

_TRUNKS = frozenset({"trunk", "backbone", "encoder", "segformer", "base_net"})
"""What models call what comes before their head."""


def adamw(
    model: nn.Module, lr: float, weight_decay: float, *, trunk_lr: float = 1.0
) -> torch.optim.AdamW:
    """AdamW (Loshchilov 2019) without weight decay on biases and normalisation layers.

    With a `trunk_lr` other than 1, parameters of the trunk (in a module with a name of `_TRUNKS`)
    form groups of their own, whose learning rate is that multiple of what is written (see
    `schedules.write_rate`). Raises UserError where there are none.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    apart = trunk_lr != 1.0
    parts = [(1.0, [p for name, p in named if not (apart and _in_trunk(name))])]
    if apart:
        trunk = [p for name, p in named if _in_trunk(name)]
        if not trunk:
            raise UserError(f"trunk_lr={trunk_lr:g} has no effect on a model without a trunk")
        parts.append((trunk_lr, trunk))
    groups = [
        group
        for multiple, parameters in parts
        for group in (
            {
                "params": [p for p in parameters if p.ndim > 1],
                "decayed": True,
                "multiple": multiple,
            },
            {
                "params": [p for p in parameters if p.ndim <= 1],
                "decayed": False,
                "weight_decay": 0.0,
                "multiple": multiple,
            },
        )
    ]
    return torch.optim.AdamW(groups, lr=lr, weight_decay=weight_decay)


def sgd(model: nn.Module, lr: float, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """Stochastic gradient descent with momentum of what is trained of a model."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.SGD(trained, lr=lr, momentum=momentum, weight_decay=weight_decay)


def _in_trunk(name: str) -> bool:
    return not _TRUNKS.isdisjoint(name.split(".")[:-1])
