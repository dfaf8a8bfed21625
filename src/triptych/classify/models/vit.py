"""The Vision Transformer for small images (Dosovitskiy 2021), made of timm's."""

from __future__ import annotations

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from triptych.classify.models.drop_path import REFERENCE, install


def vit(
    classes: int,
    image_size: int,
    *,
    patch: int,
    width: int,
    hidden: int,
    heads: int,
    depth: int,
) -> nn.Module:
    """A ViT with class token and learnt positions; `hidden` is the width inside the MLP.

    Images (N, 3, image_size, image_size) → logits (N, classes). `patch` must divide the size.
    """
    model: nn.Module = VisionTransformer(
        img_size=image_size,
        patch_size=patch,
        num_classes=classes,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=hidden / width,
        drop_path_rate=REFERENCE,
    )
    install(model)
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
    return model
