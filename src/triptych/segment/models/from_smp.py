"""Models of segmentation-models-pytorch by name, such as `smp:linknet:resnet18`."""

from __future__ import annotations

import difflib
import importlib
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.data.classes import CITYSCAPES
from triptych.errors import UserError
from triptych.normalisation import IMAGENET, Normalisation
from triptych.segment.models.base import SegmentationModel, published_names
from triptych.segment.models.catalogue.entry import ModelEntry

PREFIX = "smp:"
"""What their names begin with."""
_OUTPUTS = 19


class SmpModel(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W).

    Where the network only takes multiples of its stride, images are padded with zeros, the mean
    colour, to the right and below, and the logits are cut. How small images may be is the
    network's affair. `network` is one of the package's models with logits for output.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # The classes apart from the rest, so that what comes before them can be trained on.
        self.head = network.get_submodule("segmentation_head")
        network.segmentation_head = nn.Identity()
        stride: Any = network.get_submodule("encoder").output_stride
        self.multiple = int(stride) if network.requires_divisible_input_shape else 1

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_train(images)["logits"]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """`logits` and `features`, the decoder's map."""
        height, width = int(images.shape[-2]), int(images.shape[-1])
        right, below = -width % self.multiple, -height % self.multiple
        if right or below:
            images = F.pad(images, (0, right, 0, below))
        features: Tensor = self.network(images)
        logits: Tensor = self.head(features)
        rows = -(-int(features.shape[-2]) * height // (height + below))
        columns = -(-int(features.shape[-1]) * width // (width + right))
        return {
            "logits": logits[..., :height, :width],
            "features": features[..., :rows, :columns],
        }

    def load_published(self, state_dict: Mapping[str, object]) -> None:
        """Load weights under the package's names; see `SegmentationModel.load_published`."""
        own = self.state_dict()
        weights = published_names(state_dict)
        super().load_published(
            {name if name in own else _our_name(name): value for name, value in weights.items()}
        )


def smp_network(architecture: str, **config: Any) -> nn.Module:
    """A network of the package with freshly drawn weights; nothing is downloaded.

    `architecture` is a class of the package in any case, `config` what its constructor takes,
    at least `encoder_name` and `classes`. Raises UserError where the package is not installed,
    has no such architecture or encoder, or does not put the two together.
    """
    smp = _package()
    known: Mapping[str, Any] = smp.MODEL_ARCHITECTURES_MAPPING
    if architecture.lower() not in known:
        raise UserError(
            "segmentation-models-pytorch has no architecture "
            f"{architecture!r}; {_near(architecture.lower(), tuple(known))}"
        )
    encoder = str(config.get("encoder_name"))
    logits = {"encoder_weights": None, "activation": None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # names that begin with timm-
            network: nn.Module = known[architecture.lower()](**{**config, **logits})
    except Exception as error:  # each encoder and decoder refuses in a way of its own
        encoders = _encoders(smp)
        if encoder.partition(".")[0] not in encoders:
            raise UserError(
                "segmentation-models-pytorch has no encoder "
                f"{encoder!r}; {_near(encoder, encoders)}"
            ) from None
        reason = str(error.args[0] if error.args else type(error).__name__).splitlines()[0]
        raise UserError(f"{architecture} with the encoder {encoder}: {reason}") from None
    return network


@lru_cache
def smp_entry(name: str) -> ModelEntry:
    """What is known of `smp:ARCHITECTURE:ENCODER`, with the outputs that Cityscapes needs.

    There are no published weights. Pictures are normalised as timm says of the encoder, else as
    for ImageNet. Raises UserError as `smp_network` does, and where the name is of another form.
    """
    parts = name.removeprefix(PREFIX).split(":")
    if len(parts) != 2 or not all(parts):
        raise UserError(
            f"{name!r} is no model: write smp:ARCHITECTURE:ENCODER, such as smp:linknet:resnet18"
        )
    architecture, encoder = parts
    builder = partial(_model, architecture, encoder)
    with torch.random.fork_rng(devices=[]):  # asking about a model changes no random number
        parameters = sum(p.numel() for p in builder(_OUTPUTS).parameters())
    return ModelEntry(
        name=name,
        builder=builder,
        classes=CITYSCAPES,
        outputs=_OUTPUTS,
        parameters=parameters,
        normalisation=encoder_normalisation(encoder) or IMAGENET,
        weights=None,
        paper="see segmentation-models-pytorch",
    )


def encoder_normalisation(encoder: str) -> Normalisation | None:
    """How the pictures were normalised on which timm's weights of an encoder were trained.

    `encoder` is the package's name for it; None where it is none of timm's (`tu-`, `timm-`): what
    the package's own were trained on is written in files that would have to be downloaded.
    """
    import timm

    prefix, _, name = encoder.partition("-")
    known = timm.get_pretrained_cfg(name) if prefix in ("tu", "timm") else None
    if known is None:
        return None
    return Normalisation(mean=known.mean, std=known.std, scale=IMAGENET.scale)


def _model(architecture: str, encoder: str, classes: int) -> SmpModel:
    return SmpModel(smp_network(architecture, encoder_name=encoder, classes=classes))


def _our_name(name: str) -> str:
    if name.startswith("segmentation_head."):
        return name.replace("segmentation_head.", "head.", 1)
    return f"network.{name}"


def _package() -> ModuleType:
    try:
        return importlib.import_module("segmentation_models_pytorch")
    except ImportError:
        raise UserError(
            "models that begin with smp: need the package segmentation-models-pytorch: "
            "pip install 'triptych[smp]'"
        ) from None


def _encoders(smp: ModuleType) -> tuple[str, ...]:
    import timm

    own: list[str] = smp.encoders.get_encoder_names()
    return (*own, *(f"tu-{name}" for name in timm.list_models()))


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(known[:12])}{', …' * (len(known) > 12)}"
