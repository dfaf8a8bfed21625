"""What a trunk is to the heads that are put on it."""

from __future__ import annotations

from torch import Tensor, nn


class Trunk(nn.Module):
    """A network up to its feature maps, with freshly drawn weights."""

    channels: tuple[int, ...]
    """Of its maps, the finest first."""

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps (N, C, h, w) of images (N, 3, H, W), the finest first."""
        raise NotImplementedError

    def load_imagenet(self) -> None:
        """Take the ImageNet weights for which this trunk is known.

        Raises UserError where these are not here and cannot be had, or are another network's,
        WorkFailed where their download fails.
        """
        raise NotImplementedError
