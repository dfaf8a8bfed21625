"""The rows of a record in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from triptych.benching.timing import ENOUGH_FOR_P95


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, numbered where two are equal."""
    result: list[str] = []
    for name in names:
        unused, number = name, 1
        while unused in result:
            number += 1
            unused = f"{name} ({number})"
        result.append(unused)
    return result


def table(
    record: Mapping[str, Any], remark: Callable[[Mapping[str, Any]], str] = lambda row: ""
) -> list[str]:
    """The rows of a record as lines for a person, each with a `remark` on it."""
    lines = [
        f"{record['size']}, {record['processor']}, {record['cores']} cores, {record['device']}",
        f"{'model':<24} {'runtime':<20} {'frames/s':>9} {'p50 ms':>8} {'p95 ms':>8} "
        f"{'n':>6} {'memory':>9} {'weights':>10}",
    ]
    for row in record["rows"]:
        runtime = f"{row['runtime']} {row['precision']}"
        if "error" in row:
            lines.append(f"{row['model']:<24} {runtime:<20} failed: {row['error']}")
            continue
        memory = f"{row['peak_memory_bytes'] / 2**20:.0f} MiB"
        slow = row["latency_p95_ms"]
        said = remark(row)
        lines.append(
            f"{row['model']:<24} {runtime:<20} {row['frames_per_second']:>9.1f} "
            f"{row['latency_p50_ms']:>8.1f} {'-' if slow is None else f'{slow:.1f}':>8} "
            f"{row['latency_frames']:>6} {memory:>9} {row['weights']:>10}"
            f"{f'  {said}' if said else ''}"
        )
    if any("error" not in row and row["latency_p95_ms"] is None for row in record["rows"]):
        lines.append(f"p95: only of n = {ENOUGH_FOR_P95} frames or more")
    return lines
