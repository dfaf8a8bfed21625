"""SL-ViT (Lee 2021, Vision Transformer for Small-Size Datasets): a ViT biased to locality."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.layers import DropPath, calculate_drop_path_rates
from torch import nn

from triptych.classify.models.attention import attend
from triptych.classify.models.drop_path import REFERENCE, install


def slvit(
    classes: int,
    image_size: int,
    *,
    patch: int = 4,
    width: int = 256,
    depth: int = 9,
    heads: int = 16,
) -> nn.Module:
    """A ViT with shifted patch tokenization and locality self-attention.

    The paper's small ViT for 32×32 (patch 4, depth 9, 16 channels a head, MLP ratio 2; width 192,
    12 heads, 2.8 M parameters) made wider until it has 4.9 M: width 256, 16 heads. Images
    (N, 3, image_size, image_size) → logits (N, classes). `patch` must divide the size.
    """
    return SLViT(classes, image_size, patch, width, depth, heads)


class SLViT(nn.Module):
    """Class token, learnt positions, pre-norm blocks."""

    def __init__(
        self, classes: int, image_size: int, patch: int, width: int, depth: int, heads: int
    ) -> None:
        super().__init__()
        self.tokens = ShiftedPatches(patch, width)
        count = (image_size // patch) ** 2
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, count + 1, width))
        rates = calculate_drop_path_rates(REFERENCE, depth)
        self.blocks = nn.Sequential(*(_Block(width, heads, rate, count + 1) for rate in rates))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        self._draw()
        install(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(images)
        x = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1) + self.positions
        logits: torch.Tensor = self.head(self.norm(self.blocks(x)[:, 0]))
        return logits

    def _draw(self) -> None:
        nn.init.trunc_normal_(self.positions, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class ShiftedPatches(nn.Module):
    """Shifted patch tokenization (section 3.1): a token sees half a patch beyond its borders."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch = patch
        values = 5 * 3 * patch * patch
        self.norm = nn.LayerNorm(values)
        self.linear = nn.Linear(values, width)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, H, W) → tokens (N, H / patch × W / patch, width)."""
        patches = F.pixel_unshuffle(with_shifts(images, self.patch // 2), self.patch)
        tokens: torch.Tensor = self.linear(self.norm(patches.flatten(2).transpose(1, 2)))
        return tokens


def with_shifts(images: torch.Tensor, by: int) -> torch.Tensor:
    """The images and their copies moved by that many pixels to the four diagonals, 0 beyond.

    (N, C, H, W) → (N, 5 C, H, W); the copies move to the upper left, upper right, lower left and
    lower right.
    """
    height, width = images.shape[-2:]
    padded = F.pad(images, (by, by, by, by))
    moved = [
        padded[..., top : top + height, left : left + width]
        for top in (2 * by, 0)
        for left in (2 * by, 0)
    ]
    return torch.cat([images, *moved], 1)


class LocalityAttention(nn.Module):
    """Locality self-attention (section 3.2): no token attends to itself, temperature is learnt.

    Every head has a temperature of its own; it starts at the square root of the head's channels.
    """

    itself: torch.Tensor

    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.full((heads, 1, 1), (width / heads) ** 0.5))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        mask = torch.zeros(tokens, tokens).fill_diagonal_(-torch.inf)
        self.register_buffer("itself", mask, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (N, tokens, width) → the same shape."""
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        q = q / self.temperature.to(q.dtype)
        mixed = attend(q, k, v, scale=1.0, mask=self.itself.to(q.dtype))
        out: torch.Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, rate: float, tokens: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = LocalityAttention(width, heads, tokens)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.drop_path = DropPath(rate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.attention(self.norm1(x)))
        out: torch.Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out
