"""Memory that a training step frees is kept for the next step."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # malloc.h
_KEEP = 2**31 - 1
_GROW = 64 * 2**20


def keep_memory() -> bool:
    """Let glibc keep what is freed; returns whether it does (False on another C library).

    By default every tensor above 32 MiB comes fresh from the kernel, which clears it page by page,
    at every step anew: with batches of 128 on a CPU, a quarter of the time of a training step. The
    process keeps its peak of memory in exchange. Holds for the whole process; call it before the
    first large tensor. Changes no result.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEEP), (_TOP_PAD, _GROW))
    return all(mallopt(option, value) == 1 for option, value in wanted)
