"""Inverse networks: two boundary maps in, the coefficients of the homography between them out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from triptych.segment.models.base import load_published

TILE = 112
"""Side of the tiles that our network compares, in pixels."""
FEATURES = 24
"""Channels in which a single map is described, one place for every 4x4 pixels."""
WIDTH = 64
"""Channels in which two maps are compared."""


class InverseNetwork(nn.Module):
    """Takes predicted and true boundary maps (N, 1, tile, tile), gives coefficients (N, k)."""

    tile: int
    """Side of its tiles in pixels."""
    map_size: tuple[int, int] | None = None
    """Height and width to which whole maps are resized before they are cut; None is their own."""
    coefficients: int
    """k; all are 0 where it sees no difference."""


class InverseNet(InverseNetwork):
    """A convolutional inverse network that is antisymmetric: f(a, b) = g(a, b) - g(b, a).

    The 8 coefficients are the coordinates of the homography's logarithm, see `homography.py`, to
    first order its difference from identity. Swapping two maps inverts their homography, which
    changes the sign of every coordinate: the form of f has that built in. And f(a, a) is 0 for any
    weights: identical maps can never look different, which a plain regressor does not promise
    (Qualcomm's, issue 23: 449.7 for identical maps, 257.6 for different ones).
    """

    tile = TILE
    coefficients = 8

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, FEATURES, 8, 4, 2),
            nn.ReLU(inplace=True),
            nn.Conv2d(FEATURES, FEATURES, 3, 1, 1),
            nn.ReLU(inplace=True),
        )
        self.match = nn.Sequential(
            nn.Conv2d(2 * FEATURES, WIDTH, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(WIDTH, WIDTH, 3, 2, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(WIDTH * (TILE // 16) ** 2, WIDTH),
            nn.ReLU(inplace=True),
            nn.Linear(WIDTH, self.coefficients, bias=False),
        )

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        one, other = self.features(predicted), self.features(true)
        coefficients: Tensor = self.match(torch.cat([one, other], dim=1)) - self.match(
            torch.cat([other, one], dim=1)
        )
        return coefficients


class PublishedInverseNet(InverseNetwork):
    """The network that Borse 2021 published: three linear layers on two flattened maps.

    100.4 million parameters. Its 4 outputs are shifts and scales, each normalised by its range
    in the authors' training, which was not published. Loads `distance_measures_regressor.pth`.
    """

    tile = 224
    map_size = (672, 1344)
    coefficients = 4

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(2 * self.tile**2, 1000),
            nn.ReLU(inplace=True),
            nn.Linear(1000, 32),
            nn.ReLU(inplace=True),
            nn.Linear(32, self.coefficients),
        )

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        coefficients: Tensor = self.fc(torch.cat([predicted.flatten(1), true.flatten(1)], dim=1))
        return coefficients

    def load_published(self, state_dict: Mapping[str, object]) -> None:
        """Load the published weights, every entry accounted for. Raises UserError."""
        load_published(self, state_dict)
