"""A model that carries an edge head while it is trained."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from triptych.segment.inverse.edge_head import EdgeHead

NET = "net."
"""What the model's own entries begin with in a checkpoint that also holds the edge head."""

_SIDE = 64  # of the black picture that is sent through once to see how wide the features are


class Trainable(Protocol):
    """What a training loop needs of a model, see `SegmentationModel.forward_train`."""

    def forward_train(self, images: Tensor) -> dict[str, Tensor]: ...


class WithEdges(nn.Module):
    """Any segmentation model with an edge head on the features before its classes.

    `forward_train` adds `edges` (N, 1, h, w) to the model's own outputs, from its `features`, or
    from its logits where it gives none. `forward` is the model alone, so at inference the head
    costs nothing. A model that has edges of its own keeps them and gets no head.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        outputs = _outputs_once(net)
        self.edge_head = None if "edges" in outputs else EdgeHead(_features(outputs).shape[1])

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.net(images))

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        outputs = cast(Trainable, self.net).forward_train(images)
        if self.edge_head is None:
            return outputs
        return {**outputs, "edges": self.edge_head(_features(outputs))}


def without_edges(model: nn.Module) -> nn.Module:
    """The model itself, which is what is evaluated and kept."""
    return model.net if isinstance(model, WithEdges) else model


def _features(outputs: dict[str, Tensor]) -> Tensor:
    return outputs.get("features", outputs["logits"])


def _outputs_once(net: nn.Module) -> dict[str, Tensor]:
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            return cast(Trainable, net).forward_train(torch.zeros(1, 3, _SIDE, _SIDE))
    finally:
        net.train(training)
