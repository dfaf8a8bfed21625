"""Stochastic depth that can be changed while a model trains (Huang 2016)."""

from __future__ import annotations

from timm.layers import DropPath
from torch import nn

from triptych.errors import UserError

REFERENCE = 0.5
"""The rate that models are built with, so that every residual branch shows its share of it."""


def install(model: nn.Module, built: float = REFERENCE) -> None:
    """Make the stochastic depth of a model that was built with that rate changeable.

    Every residual branch remembers its share of the rate (in timm it rises linearly with depth,
    from 0 to 1), and the rate becomes 0.
    """
    for branch in _branches(model):
        branch.share = branch.drop_prob / built if built else 0.0
        branch.drop_prob = 0.0


def built_rate(model: nn.Module) -> float:
    """The highest rate that a branch of a model has; 0 where none has one."""
    return max((float(branch.drop_prob or 0.0) for branch in _branches(model)), default=0.0)


def set_drop_path(model: nn.Module, rate: float) -> None:
    """Set the probability, per sample, with which the last residual branch is dropped.

    Earlier branches get their share of it. For models that `create` returned, before or while
    they train. Raises UserError where the rate is outside [0, 1), or is not 0 and the model has
    no stochastic depth.
    """
    if not 0 <= rate < 1:
        raise UserError(f"drop_path must be at least 0 and below 1, not {rate}")
    branches = _branches(model)
    if rate > 0 and not any(branch.share for branch in branches):
        raise UserError("this model has no stochastic depth: set drop_path to 0")
    for branch in branches:
        branch.drop_prob = branch.share * rate


def _branches(model: nn.Module) -> list[DropPath]:
    return [module for module in model.modules() if isinstance(module, DropPath)]
