"""What every study's `bench` does: models timed in processes of their own, and scores beside that.

A study says what it measures and what it knows of its models; nothing here knows a study. What a
measuring process needs is here by name, and light, as its memory is measured; the rest is in
`record` (what `bench` returns), `known_scores`, `points` and `table`.
"""

from __future__ import annotations

from triptych.benching.own_process import Task, answer, peak_memory, run_in_own_process
from triptych.benching.timing import (
    ENOUGH_FOR_P95,
    Length,
    latency,
    one_at_a_time,
    p95,
    together,
)

__all__ = [
    "ENOUGH_FOR_P95",
    "Length",
    "Task",
    "answer",
    "latency",
    "one_at_a_time",
    "p95",
    "peak_memory",
    "run_in_own_process",
    "together",
]
