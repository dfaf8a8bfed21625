"""What may be asked of some models besides labels: boundaries, and other scales to look at.

Asked before a model is opened, so that a mistake is told at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from triptych.errors import UserError
from triptych.run import read_json
from triptych.segment.models import ModelEntry, entry, is_name
from triptych.segment.models.catalogue import ENTRIES


def known(model: str) -> ModelEntry | None:
    """What the table says of a registry name or a run folder; None for anything else."""
    if is_name(model):
        return entry(model)
    recipe = Path(model) / "recipe.json"
    if not recipe.is_file():
        return None
    architecture = str(read_json(recipe).get("recipe", {}).get("model"))
    return entry(architecture) if is_name(architecture) else None


def has_scales(model: str) -> bool:
    """Whether the scales at which a model looks at a picture may be set."""
    found = known(model)
    return found is not None and bool(found.scales)


def check_scales(models: Iterable[str]) -> None:
    """Raise UserError, naming them, where none of the models has scales to set."""
    models = list(models)
    if not any(map(has_scales, models)):
        able = ", ".join(name for name, each in ENTRIES.items() if each.scales)
        raise UserError(
            f"--scales: {', '.join(models)}: looks at a picture at one scale only, unlike {able}"
        )


def check_edges(models: Iterable[str]) -> None:
    """Raise UserError, naming it, for a model that predicts no boundaries."""
    for model in models:
        found = known(model)
        if found is None or not found.edges:
            raise no_edges(model)


def no_edges(name: str) -> UserError:
    """The error for a model that predicts no boundaries."""
    able = ", ".join(name for name, each in ENTRIES.items() if each.edges)
    return UserError(f"--view edges: {name} predicts no boundaries, unlike {able}")
