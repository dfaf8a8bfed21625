"""The Compact Convolutional Transformer (Hassani 2021, "Escaping the Big Data Paradigm")."""

from __future__ import annotations

import torch
from timm.layers import DropPath, calculate_drop_path_rates
from torch import nn

from triptych.classify.models.attention import self_attention
from triptych.classify.models.drop_path import REFERENCE, install


def cct(
    classes: int, image_size: int, *, width: int = 256, depth: int = 7, heads: int = 4
) -> nn.Module:
    """CCT-7/3×1 (section 3): convolutional tokens, sequence pooling, no class token.

    Images (N, 3, image_size, image_size) → logits (N, classes). 3,760,139 parameters with 10
    classes at 32×32, the paper's 3.76 M. The authors' attention dropout of 0.1 is left out, so
    that every arm of a comparison has the same regularisation: the recipe's.
    """
    return CCT(classes, image_size, width, depth, heads)


class CCT(nn.Module):
    """Tokens from one 3×3 convolution with ReLU and 3×3 max-pool of stride 2."""

    def __init__(self, classes: int, image_size: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.tokens = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        side = (image_size + 1) // 2
        self.positions = nn.Parameter(torch.empty(1, side * side, width))
        rates = calculate_drop_path_rates(REFERENCE, depth)
        self.blocks = nn.Sequential(*(_Block(width, heads, rate) for rate in rates))
        self.norm = nn.LayerNorm(width)
        self.pool = nn.Linear(width, 1)
        self.head = nn.Linear(width, classes)
        self._draw()
        install(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.tokens(images).flatten(2).transpose(1, 2) + self.positions
        x = self.norm(self.blocks(x))
        # Sequence pooling (equation 3): a mean of the tokens with learnt, input-dependent weights.
        pooled = self.pool(x).softmax(1).transpose(1, 2) @ x
        logits: torch.Tensor = self.head(pooled.squeeze(1))
        return logits

    def _draw(self) -> None:
        nn.init.trunc_normal_(self.positions, std=0.2)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)


class _Block(nn.Module):
    """The authors' encoder layer: the second norm lies on the residual stream itself."""

    def __init__(self, width: int, heads: int, rate: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.drop_path = DropPath(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mixed = self_attention(self.qkv(self.norm1(x)), self.heads)
        x = self.norm2(x + self.drop_path(self.proj(mixed)))
        out: torch.Tensor = x + self.drop_path(self.mlp(x))
        return out
