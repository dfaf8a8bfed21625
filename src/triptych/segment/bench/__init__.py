"""`triptych bench`: how fast models are on this machine, and what that speed is worth."""

from __future__ import annotations

from triptych.segment.bench.table import BenchOptions, bench, describe

__all__ = ["BenchOptions", "bench", "describe"]
