"""A segmentation model of the user's own, made by a function in a Python file (see `own_model`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from triptych.data.classes import CITYSCAPES
from triptych.errors import UserError
from triptych.normalisation import IMAGENET, Normalisation
from triptych.own_model import logits_of_black, make
from triptych.segment.models.base import SegmentationModel, published_names
from triptych.segment.models.catalogue.entry import ModelEntry
from triptych.segment.models.resize import resize

_OUTPUTS = 19
_PREFIXES = ("", "network.", "network.model.", "network.module.")
"""What a file of weights may have left out of our names."""


class FileModel(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W).

    `network` is the user's; its logits (N, classes, h, w) are resized where they are smaller.
    """

    def __init__(self, network: nn.Module, name: str, classes: int) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        self._check(logits)
        return logits if logits.shape[-2:] == images.shape[-2:] else resize(logits, like=images)

    def check(self, height: int, width: int) -> None:
        """Raise UserError where one black image of that size does not become logits."""
        logits = logits_of_black(self.name, self.network, height, width)
        self._check(logits)
        rows, columns = logits.shape[-2:]
        if len(logits) != 1 or not (0 < rows <= height and 0 < columns <= width):
            raise UserError(
                f"{self.name} gives a tensor of shape {tuple(logits.shape)} for one image of "
                f"{width}x{height} pixels: it must be (1, {self.classes}, {height}, {width}), or "
                "less high and wide"
            )

    def load_published(self, state_dict: Mapping[str, object]) -> None:
        """Load weights under the network's own names or ours."""
        own, weights = self.state_dict(), published_names(state_dict)
        fitting = (p for p in _PREFIXES if any(f"{p}{name}" in own for name in weights))
        prefix = next(fitting, "network.")
        super().load_published({f"{prefix}{name}": value for name, value in weights.items()})

    def _check(self, logits: object) -> None:
        if not isinstance(logits, Tensor):
            raise UserError(f"{self.name} gives a {type(logits).__name__}, not a tensor of logits")
        if logits.ndim != 4 or logits.shape[1] != self.classes:
            raise UserError(
                f"{self.name} gives a tensor of shape {tuple(logits.shape)}: with {self.classes} "
                f"classes it must be (N, {self.classes}, height, width)"
            )


def file_entry(name: str) -> ModelEntry:
    """What is known of `PATH.py:FUNCTION`, with the outputs that Cityscapes needs.

    There are no published weights. Pictures are normalised as the module says by its attribute
    `normalisation`, else as for ImageNet. Raises UserError as `own_model.make` does.
    """
    return _entry(name, Path.cwd())


@lru_cache
def _entry(name: str, _working_folder: Path) -> ModelEntry:
    builder = partial(_model, name)
    with torch.random.fork_rng(devices=[]):  # asking about a model changes no random number
        model = builder(_OUTPUTS)
    return ModelEntry(
        name=name,
        builder=builder,
        classes=CITYSCAPES,
        outputs=_OUTPUTS,
        parameters=sum(p.numel() for p in model.parameters()),
        normalisation=_normalisation(name, model.network),
        weights=None,
        paper="none: a model of your own",
    )


def _model(name: str, classes: int) -> FileModel:
    network = make(name, classes)
    if any(isinstance(p, UninitializedParameter) for p in network.parameters()):
        raise UserError(f"{name} has layers of unknown size (Lazy…): say how many channels go in")
    return FileModel(network.train(), name, classes)


def _normalisation(name: str, network: nn.Module) -> Normalisation:
    found = getattr(network, "normalisation", None)
    if found is None:
        return IMAGENET
    if isinstance(found, Normalisation):
        numbers = [*found.mean, *found.std, found.scale]
        positive = min(*found.std, found.scale) > 0
        if len(found.mean) == len(found.std) == 3 and positive and all(map(math.isfinite, numbers)):
            return found
    raise UserError(
        f"{name}: its normalisation must be a triptych.normalisation.Normalisation, with three "
        "finite numbers for mean and for std, and std and scale above 0"
    )
