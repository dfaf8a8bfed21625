"""Hashes of tensors, to count what is distinct and to see what changed."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

_LANES = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int32}
"""As what bytes are multiplied, by the size of an element. Never 64 bits at once: modulo 2^64 a
sign bit would count the same in every place."""


@functools.lru_cache(maxsize=8)
def _weights(lanes: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(0x5EED)
    random = torch.randint(-(2**62), 2**62, (lanes,), generator=generator, dtype=torch.int64)
    return (random * 2 + 1).to(device)


def row_hashes(rows: Tensor) -> Tensor:
    """A 64-bit hash of every row's bytes: (N, …) of any dtype → (N,) int64, on its device.

    Multilinear hashing (Carter and Wegman 1979) with fixed random odd weights: two rows that
    differ collide with a probability of about 2^-31 or less. Equal bytes are equal hashes,
    whatever the memory format.
    """
    if rows.numel() == 0:
        return torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
    flat = rows.detach().reshape(len(rows), -1).contiguous()
    if flat.dtype == torch.bool:
        flat = flat.to(torch.uint8)
    lanes = flat.view(_LANES[flat.element_size()]).to(torch.int64)
    return (lanes * _weights(lanes.shape[1], lanes.device)).sum(dim=1)


def entry_hashes(model: nn.Module) -> dict[str, int]:
    """A hash for every entry of the state dict."""
    return {
        name: int(row_hashes(value.reshape(1, -1))[0]) for name, value in model.state_dict().items()
    }
