"""What a model starts from."""

from __future__ import annotations

from torch import nn

from triptych.errors import UserError
from triptych.segment.recipes import SegmentRecipe


def initialise(model: nn.Module, recipe: SegmentRecipe) -> None:
    """Load what the recipe's `init` names into a freshly drawn model.

    Raises UserError where the model has no trunk for which there are such weights, or where their
    package is not installed.
    """
    if recipe.init == "random":
        return
    from triptych.segment.models.lite_trunk import LiteTrunk, load_imagenet

    trunk = getattr(model, "trunk", None)
    if not isinstance(trunk, LiteTrunk):
        raise UserError(
            f"{recipe.model} has no trunk with {recipe.init} weights here: --set init=random"
        )
    load_imagenet(trunk)
