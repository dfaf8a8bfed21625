"""SegFormer (Xie 2021), the network of `transformers` with logits at the size of the picture."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from triptych.errors import UserError
from triptych.segment.models.base import SegmentationModel, published_names
from triptych.segment.models.resize import resize

LEAST = 32
"""Pixels on a side below which the last stages would have no map; smaller pictures are padded."""


@dataclass(frozen=True)
class Size:
    """What tells B0 to B5 apart: widths and depths of the four stages, width of the decoder."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    decoder: int


B0 = Size((32, 64, 160, 256), (2, 2, 2, 2), 256)
B5 = Size((64, 128, 320, 512), (3, 6, 40, 3), 768)


class SegFormer(SegmentationModel):
    """Maps normalised images (N, 3, H, W) to logits (N, classes, H, W), whatever H and W."""

    def __init__(self, size: Size, classes: int) -> None:
        super().__init__()
        self.network = _network(size, classes)
        # The classes apart from the rest, so that what comes before them can be trained on.
        self.classify = self.network.get_submodule("decode_head.classifier")
        self.network.get_submodule("decode_head").classifier = nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_train(images)["logits"]

    def forward_train(self, images: Tensor) -> dict[str, Tensor]:
        """`logits` and `features`, the decoder's map (N, 256 or 768, H/4, W/4)."""
        height, width = int(images.shape[-2]), int(images.shape[-1])
        right, below = max(LEAST - width, 0), max(LEAST - height, 0)
        if right or below:
            images = F.pad(images, (0, right, 0, below))
        features: Tensor = self.network(pixel_values=images, return_dict=False)[0]
        logits = resize(self.classify(features), like=images)
        return {"logits": logits[..., :height, :width], "features": features}

    def load_published(self, state_dict: Mapping[str, object]) -> None:
        """Load a checkpoint of the Hugging Face hub; see `SegmentationModel.load_published`."""
        weights, own = published_names(state_dict), set(self.state_dict())
        super().load_published({_our_name(name, own): value for name, value in weights.items()})


def _network(size: Size, classes: int) -> nn.Module:
    """The network of `transformers` with freshly drawn weights."""
    try:
        from transformers import SegformerConfig, SegformerForSemanticSegmentation
    except ImportError:
        raise UserError(
            "SegFormer needs the package transformers: pip install 'triptych[segformer]'"
        ) from None
    config = SegformerConfig(
        num_labels=classes,
        hidden_sizes=list(size.widths),
        depths=list(size.depths),
        decoder_hidden_size=size.decoder,
    )
    network = SegformerForSemanticSegmentation(config)
    network.loss_type = "ForSemanticSegmentation"  # else tracing warns that it does not know it
    made: nn.Module = network
    return made


_RENAMED = (
    (r"segformer\.encoder\.patch_embeddings\.(\d+)\.", r"segformer.stages.\1.patch_embeddings."),
    (r"segformer\.encoder\.block\.(\d+)\.", r"segformer.stages.\1.blocks."),
    (r"segformer\.encoder\.layer_norm\.(\d+)\.", r"segformer.stages.\1.layer_norm."),
    (r"\.attention\.self\.query\.", ".attention.q_proj."),
    (r"\.attention\.self\.key\.", ".attention.k_proj."),
    (r"\.attention\.self\.value\.", ".attention.v_proj."),
    (r"\.attention\.self\.sr\.", ".attention.sequence_reduction.sequence_reduction."),
    (r"\.attention\.self\.layer_norm\.", ".attention.sequence_reduction.layer_norm."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.layer_norm_1\.", ".layernorm_before."),
    (r"\.layer_norm_2\.", ".layernorm_after."),
    (r"\.mlp\.dense1\.", ".mlp.fc1."),
    (r"\.mlp\.dense2\.", ".mlp.fc2."),
    (r"decode_head\.linear_c\.", "decode_head.linear_projections."),
)
"""What `transformers` of 2026 calls the parts of the networks that were published in 2021."""


def _our_name(name: str, own: Container[str]) -> str:
    """A published name as ours, under whichever names the installed `transformers` has."""
    if name.startswith("decode_head.classifier."):
        return name.replace("decode_head.classifier.", "classify.")
    renamed = name
    for old, new in _RENAMED:
        renamed = re.sub(old, new, renamed)
    return next((f"network.{n}" for n in (name, renamed) if f"network.{n}" in own), name)
