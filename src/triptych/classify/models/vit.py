"""The Vision Transformer for small images (Dosovitskiy 2021), made of timm's, and faster."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from triptych.classify.models.attention import attend, self_attention
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
    model = ViT(
        img_size=image_size,
        patch_size=patch,
        num_classes=classes,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        mlp_ratio=hidden / width,
        drop_path_rate=REFERENCE,
        block_fn=_Block,
        attn_layer=_Attention,
    )
    install(model)
    return model


class ViT(VisionTransformer):  # type: ignore[misc]
    """timm's ViT, with its parameters and its logits.

    The logits are read from the class token alone, so the last block computes what the class token
    needs: keys and values of all tokens, and the rest of the block for one token.
    """

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self._pos_embed(self.patch_embed(images))
        x = self.blocks[-1].of_first_token(self.blocks[:-1](x))
        logits: torch.Tensor = self.forward_head(self.norm(x))
        return logits

    def forward_every_token(self, images: torch.Tensor) -> torch.Tensor:
        """The same logits with the last block computed for all tokens, as costs are counted."""
        logits: torch.Tensor = self.forward_head(self.forward_features(images))
        return logits


class _Block(Block):  # type: ignore[misc]
    def of_first_token(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (N, tokens, width) → the first one's output (N, 1, width)."""
        first = x[:, :1] + self.drop_path1(self.attn.of_first_token(self.norm1(x)))
        out: torch.Tensor = first + self.drop_path2(self.mlp(self.norm2(first)))
        return out


class _Attention(Attention):  # type: ignore[misc]
    def forward(
        self, x: torch.Tensor, attn_mask: torch.Tensor | None = None, is_causal: bool = False
    ) -> torch.Tensor:
        out: torch.Tensor = self.proj(self_attention(self.qkv(x), self.num_heads))
        return out

    def of_first_token(self, x: torch.Tensor) -> torch.Tensor:
        count, tokens, width = x.shape
        weight, bias = self.qkv.weight, self.qkv.bias
        q = F.linear(x[:, :1], weight[:width], bias[:width])
        kv = F.linear(x, weight[width:], bias[width:])
        q = q.reshape(count, 1, self.num_heads, -1).transpose(1, 2)
        k, v = kv.reshape(count, tokens, 2, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        out: torch.Tensor = self.proj(attend(q, k, v).transpose(1, 2).flatten(2))
        return out
