"""An edge head that any model can carry while it is trained."""

from __future__ import annotations

from torch import Tensor, nn

WIDEST = 64


class EdgeHead(nn.Module):
    """From features (N, C, h, w) to logits of the boundary (N, 1, h, w).

    It sits beside the classes, never before them, so that leaving it out at inference changes no
    label and saves its whole cost.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        width = min(in_channels, WIDEST)
        self.mix = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.active = nn.ReLU(inplace=True)
        self.edges = nn.Conv2d(width, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        edges: Tensor = self.edges(self.active(self.norm(self.mix(features))))
        return edges
