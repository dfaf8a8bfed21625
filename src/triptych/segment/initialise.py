"""What a model starts from, and which parts of it do not learn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.errors import UserError
from triptych.segment.recipes import SegmentRecipe

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


def initialise(model: SegmentationModel, recipe: SegmentRecipe) -> None:
    """Load what the recipe's `init` names into a freshly drawn model.

    Where the recipe learns no boundaries, the parts that predict nothing else are frozen: its loss
    does not reach them. Raises UserError where the model has no trunk for which there are such
    weights or where these are not here, WorkFailed where their download fails.
    """
    if recipe.boundary == "none":
        for head in model.boundary_heads():
            head.requires_grad_(False)
    if recipe.init == "random":
        return
    from triptych.segment.models.trunk import Trunk

    trunk = getattr(model, "trunk", None)
    if not isinstance(trunk, Trunk):
        raise UserError(
            f"{recipe.model} has no trunk with {recipe.init} weights here: --set init=random"
        )
    trunk.load_imagenet()
