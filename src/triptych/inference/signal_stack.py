"""Keep a thread's signal stack as it is while a library may replace it.

OpenVINO's CPU plugin (2026.4) gives the thread that compiles a model a signal stack of its own and
frees that memory with the model. Where two models end in the order in which they were made, the
thread is left pointing to the first one's. Python's signal handlers run on that stack, so the next
Ctrl-C or SIGTERM would end the process with a segmentation fault.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Iterator


class _Stack(ctypes.Structure):
    """`stack_t` of Linux, see sigaltstack(2)."""

    _fields_ = (
        ("pointer", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


@contextlib.contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Restore the calling thread's signal stack at the end. Elsewhere than on Linux, do nothing."""
    if sys.platform != "linux":
        yield
        return
    sigaltstack = ctypes.CDLL(None).sigaltstack
    before = _Stack()
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
