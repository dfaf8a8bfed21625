"""The recipe of an inverse network. No torch is imported here: listing recipes must be fast."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.errors import UserError
from triptych.recipe import Recipe, register
from triptych.training.schedules import Schedule

MODEL = "inverse"
"""The one model of these recipes, `triptych.segment.inverse.networks.InverseNet`."""
THE_PUBLISHED = "published"
"""What `inverse_network` of a recipe says for the network of Borse 2021."""


@dataclass(frozen=True, kw_only=True)
class InverseRecipe(Recipe):
    """Regressing homographies between boundary tiles and their warped copies."""

    val_data: str | None = None
    """Another data set to measure on; None is `data`."""
    train_split: str = "train"
    val_split: str = "val"
    frames: int = 400
    """Most label maps that are read of a split, spread evenly over it."""
    pairs: int = 12_800
    """Pairs of tiles in an epoch; tile and warp are drawn anew for each."""
    val_pairs: int = 2_048
    schedule: Schedule = "cosine"
    warmup: float = 0.02
    """Share of the updates over which the learning rate rises linearly from 0."""
    shift: float = 0.2
    """Largest shift each way, in half sides of the tile (0.2 is 11 pixels of 112)."""
    rotation: float = 0.2
    """Largest rotation, in radians."""
    scale: float = 0.2
    """Largest logarithm of the scale."""
    stretch: float = 0.1
    """Largest stretch and shear."""
    perspective: float = 0.1
    """Largest change of depth from the middle of the tile to its side."""
    degraded: float = 0.75
    """Share of the pairs whose warped map is made to look predicted: blurred, broken, faint."""

    def __post_init__(self) -> None:
        super().__post_init__()
        warps = (self.shift, self.rotation, self.scale, self.stretch, self.perspective)
        checks = {
            f"model must be {MODEL}": self.model == MODEL,
            "frames, pairs and val_pairs must be at least 1": (
                min(self.frames, self.pairs, self.val_pairs) >= 1
            ),
            "warmup must be from 0 to below 1": 0 <= self.warmup < 1,
            "shift, rotation, scale, stretch and perspective must be from 0 to 0.5": (
                min(warps) >= 0 and max(warps) <= 0.5
            ),
            "one of shift, rotation, scale, stretch and perspective must be above 0": (
                max(warps) > 0
            ),
            "degraded must be from 0 to 1": 0 <= self.degraded <= 1,
        }
        for rule, holds in checks.items():
            if not holds:
                raise UserError(f"{self.name}: {rule}")


@register("segment/inverse")
def inverse() -> InverseRecipe:
    """The inverse network of the InverseForm loss, on the boundaries of procedural streets.

    Command: triptych train segment/inverse
    Time: about 7 minutes on one core
    Score: relative error 0.549 on clean boundaries, 0.605 on degraded ones; ranking 0.987
    Other boundaries: --set data=camvid:DIR --set val_data=none
    """
    return InverseRecipe(
        name="segment/inverse",
        model=MODEL,
        data="streets:scenes=120,frames=3,size=480x360",
        val_data="streets:scenes=40,frames=2,size=480x360",
        epochs=12,
        batch_size=64,
        lr=2e-3,
        weight_decay=1e-4,
        precision="bfloat16",
    )
