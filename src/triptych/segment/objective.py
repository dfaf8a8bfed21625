"""What a segmentation training makes small."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.data.classes import VOID
from triptych.data.labelled import LabelledData
from triptych.segment.inverse.loss import InverseFormLoss, JointWeights, joint_loss
from triptych.segment.inverse.shipped import chosen_network, digest, shipped_network
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.weighting import class_weights, pixel_counts


def loss_fingerprint(recipe: SegmentRecipe) -> dict[str, str]:
    """What else than recipe and data decides the loss: the weights of a network that is named.

    Raises UserError and WorkFailed where these cannot be had.
    """
    if recipe.boundary != "inverseform" or recipe.inverse_network is None:
        return {}
    return {"inverse_network": digest(recipe.inverse_network)}


class Objective(nn.Module):
    """The loss of a recipe. Its parts are no parameters of the model that is trained.

    From the outputs of `forward_train` and label maps (N, H, W) to the terms of the joint loss
    (see `inverse.loss.joint_loss`) with their weighted sum `total`. Boundaries that a model
    predicts of its own accord count only where the recipe says so; where it does not, the parts
    that predict them are frozen, see `initialise`. Raises UserError where the recipe names an
    inverse network that is none.
    """

    weights: Tensor | None

    def __init__(self, recipe: SegmentRecipe, frames: LabelledData) -> None:
        super().__init__()
        weights = None
        if recipe.class_weights != "none":
            weights = class_weights(recipe.class_weights, pixel_counts(frames))
        self.register_buffer("weights", weights)
        self.boundary = recipe.boundary != "none"
        self.inverse = None
        if recipe.boundary == "inverseform":
            chosen = recipe.inverse_network
            network = shipped_network() if chosen is None else chosen_network(chosen)
            self.inverse = InverseFormLoss(network, along_geodesics=bool(recipe.geodesic))

    def forward(self, outputs: Mapping[str, Tensor], labels: Tensor) -> dict[str, Tensor]:
        if not self.boundary:
            outputs = {name: value for name, value in outputs.items() if name != "edges"}
        return joint_loss(
            outputs,
            labels,
            pixel_loss=partial(pixel_loss, weights=self.weights),
            inverse=self.inverse,
            weights=JointWeights(),
        )


def pixel_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of logits (N, C, H, W) over the pixels that are not void, else 0.

    With `weights` (C,) the weighted mean, as PyTorch defines it.
    """
    loss = F.cross_entropy(logits, labels, weights, ignore_index=VOID, reduction="sum")
    valid = labels != VOID
    if weights is None:
        return loss / valid.sum().clamp(min=1)
    return loss / weights[labels[valid]].sum().clamp(min=torch.finfo(torch.float32).tiny)
