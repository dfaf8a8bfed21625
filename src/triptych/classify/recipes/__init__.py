"""The recipes of `classify`. No torch is imported here: listing recipes must be fast."""

from __future__ import annotations

from triptych.classify.recipes import fixed
from triptych.classify.recipes.base import ClassifyRecipe
from triptych.classify.recipes.population import PopulationRecipe, ReplayRecipe

__all__ = ["ClassifyRecipe", "PopulationRecipe", "ReplayRecipe", "fixed"]
