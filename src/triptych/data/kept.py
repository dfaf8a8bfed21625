"""Decoded pictures kept in memory as long as they fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MEMORY_LIMIT = 4 << 30
"""Bytes of decoded pictures that are kept; what does not fit is decoded anew in every epoch."""


class Kept(Generic[T]):
    """What was made for an index before, or makes it; may be asked by several threads."""

    def __init__(
        self, make: Callable[[int], T], size: Callable[[T], int], limit: int = MEMORY_LIMIT
    ) -> None:
        """`size` says how many bytes one takes."""
        self._make, self._size, self._limit = make, size, limit
        self._kept: dict[int, T] = {}
        self._bytes = 0
        self.full = False
        """Whether one did not fit."""

    def __contains__(self, index: int) -> bool:
        return index in self._kept

    def get(self, index: int) -> T:
        found = self._kept.get(index)
        if found is None:
            found = self._make(index)
            size = self._size(found)
            if self._bytes + size <= self._limit:
                self._kept[index] = found
                self._bytes += size
            else:
                self.full = True
        return found
