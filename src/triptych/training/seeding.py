"""Random numbers by name: every purpose has a stream of its own, so no generator is saved."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed for one purpose of one run, such as (seed, "order", epoch)."""
    text = "/".join([str(seed), *(f"{type(p).__name__}:{p}" for p in path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def stream(seed: int, *path: str | int) -> torch.Generator:
    """A CPU generator for one purpose of one run; the same path gives the same numbers."""
    return torch.Generator().manual_seed(derive(seed, *path))


def seed_libraries(seed: int, *path: str | int) -> None:
    """Seed the global generator, which dropout and drop path draw from. Call it at every step."""
    torch.manual_seed(derive(seed, "global", *path))
