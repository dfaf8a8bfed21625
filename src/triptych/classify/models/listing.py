"""The table of classification models that `triptych models` prints. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from triptych.classify.models.registry import ENTRIES, TABLE_SIZE


def records() -> dict[str, Any]:
    """One record a model under `models`, and what the costs are for."""
    return {
        "study": "classify",
        "classes": 100,
        "image_size": TABLE_SIZE,
        "models": [
            {
                "name": entry.name,
                "parameters": entry.parameters,
                "macs": entry.macs,
                "activations": entry.activations,
                "original_parameters": entry.original,
                "note": entry.note or None,
                "paper": entry.paper,
            }
            for entry in ENTRIES.values()
        ],
    }


def describe(listed: dict[str, Any]) -> str:
    """`records()` as a table, with notes below it."""
    size = listed["image_size"]
    head = ("model", "parameters", "MMACs", "activations", "in the original", "paper")
    rows = [
        (
            model["name"],
            f"{model['parameters']:,}",
            f"{model['macs'] / 1e6:,.1f}",
            f"{model['activations']:,}",
            f"{model['original_parameters']:,}" if model["original_parameters"] else "-",
            model["paper"],
        )
        for model in listed["models"]
    ]
    title = f"for {listed['classes']} classes and images of {size}x{size}; or any model of timm"
    notes = [f"{model['name']}: {model['note']}" for model in listed["models"] if model["note"]]
    return "\n".join([table(head, rows), title, *notes])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
