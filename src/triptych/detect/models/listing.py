"""The table of detectors that `triptych models` prints. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from triptych.detect.models.registry import ENTRIES, TABLE_CLASSES


def records() -> list[dict[str, Any]]:
    """One record a detector."""
    return [
        {
            "name": entry.name,
            "study": "detect",
            "classes": TABLE_CLASSES,
            "trunk": entry.trunk,
            "parameters": entry.parameters,
            "trainable_when_frozen": entry.trainable,
            "size": [entry.settings.min_size, entry.settings.max_size],
            "licences": dict(entry.licences),
            "paper": entry.paper,
        }
        for entry in ENTRIES.values()
    ]


def describe(models: Sequence[dict[str, Any]]) -> str:
    """`records()` as a table, with what its columns mean below it."""
    head = ("model", "parameters", "of these trainable", "sides", "licence of init", "paper")
    rows = (
        (
            model["name"],
            f"{model['parameters']:,}",
            f"{model['trainable_when_frozen']:,}",
            "-".join(map(str, sorted(set(model["size"])))),
            ", ".join(f"{init} {licence}" for init, licence in model["licences"].items()),
            model["paper"],
        )
        for model in models
    )
    notes = (
        f"for {TABLE_CLASSES} classes; trainable with norm=frozen and frozen_stages=2, else all; "
        "or timm:ARCHITECTURE, any of timm's feature extractors with a feature pyramid"
    )
    return f"{_table(head, rows)}\n{notes}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
