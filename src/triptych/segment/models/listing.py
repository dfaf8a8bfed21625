"""The tables that `triptych models` and `triptych weights list` print. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from triptych.segment.models.catalogue import ENTRIES
from triptych.weights import Published, find


def records() -> list[dict[str, Any]]:
    """One record a model."""
    return [
        {
            "name": entry.name,
            "study": "segment",
            "classes": entry.classes.name,
            "parameters": entry.parameters,
            "peak_memory_gib": entry.peak_memory_gib,
            "weights": entry.weights.file if entry.weights else None,
            "licence": entry.weights.licence if entry.weights else None,
            "claimed": dict(entry.weights.claimed) if entry.weights else None,
            "claimed_on": entry.weights.claimed_on if entry.weights else None,
            "paper": entry.paper,
        }
        for entry in ENTRIES.values()
    ]


def describe(models: Sequence[dict[str, Any]]) -> str:
    """`records()` as a table; peak memory is that of one whole 2048x1024 picture."""
    head = ("model", "classes", "parameters", "peak memory", "licence", "claimed", "paper")
    return _table(
        head,
        (
            (
                model["name"],
                model["classes"],
                f"{model['parameters']:,}",
                _memory(model["peak_memory_gib"]),
                model["licence"] or "no published weights",
                _claim(model["claimed"], model["claimed_on"]),
                model["paper"],
            )
            for model in models
        ),
    )


def weight_records() -> list[dict[str, Any]]:
    """One record a published file of weights; `path` is None where it is not on this machine."""
    return [
        {
            "model": entry.name,
            "file": published.file,
            "path": str(path) if (path := find(published)) else None,
            "address": published.address,
            "sha256": published.sha256,
            "licence": published.licence,
            "claimed": dict(published.claimed),
            "claimed_on": published.claimed_on,
            "source": published.source,
        }
        for entry, published in _published()
    ]


def describe_weights(weights: Sequence[dict[str, Any]]) -> str:
    """`weight_records()` as a table."""
    head = ("model", "licence", "claimed", "here", "from")
    return _table(
        head,
        (
            (
                each["model"],
                each["licence"],
                _claim(each["claimed"], each["claimed_on"]),
                each["path"] or "no",
                each["address"] or f"no address: {each['source']}",
            )
            for each in weights
        ),
    )


def _published() -> list[tuple[Any, Published]]:
    return [(entry, entry.weights) for entry in ENTRIES.values() if entry.weights is not None]


def _memory(gib: float | None) -> str:
    return "-" if gib is None else f"{gib:.1f} GiB"


def _claim(scores: dict[str, float] | None, data: str | None) -> str:
    if not scores:
        return "-"
    return ", ".join(f"{name} {value:.1%}" for name, value in scores.items()) + f" on {data}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
