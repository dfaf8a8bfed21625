"""Scaled dot-product attention, the fastest way that the device has."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def self_attention(qkv: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention of all tokens to all.

    (N, tokens, 3 × width), queries before keys before values, head by head → (N, tokens, width).
    """
    q, k, v = qkv.reshape(*qkv.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    return attend(q, k, v).transpose(1, 2).flatten(2)


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    scale: float | None = None,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """softmax(q kᵀ × scale + mask) v; the default scale is 1 / sqrt(channels).

    Queries (N, heads, L, channels), keys and values (N, heads, S, channels), mask (L, S) →
    (N, heads, L, channels). On a CPU in bfloat16 the fused kernel is slow, and plain matrix
    products, with the weights written out in bfloat16, take half of its time.
    """
    if q.device.type != "cpu" or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)
    shape = q.shape
    # One stack of matrices each: a product of strided ones would first copy the keys transposed.
    q, k, v = (each.flatten(0, 1) for each in (q, k, v))
    scores = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(1, 2)
    weights = (scores if mask is None else scores + mask).softmax(-1)
    return (weights @ v).reshape(shape)
