"""The edge head that networks trained with InverseForm carry (Borse 2021, CVPR)."""

from __future__ import annotations

from torch import Tensor, nn


class PublishedEdgeHead(nn.Module):
    """Trunk features (N, C, h, w) to logits of the boundary (N, 1, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.last_layer = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.last_layer(features)  # type: ignore[no-any-return]
