"""The fields of a `classify` recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from triptych.errors import UserError
from triptych.recipe import Recipe
from triptych.training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class ClassifyRecipe(Recipe):
    """An image classifier from scratch: AdamW on cross-entropy with soft targets."""

    train_images: int | None = None
    """Train on this many images of the training split, drawn by `split_seed`; None is all."""
    val_images: int | None = None
    """Images of the validation split; None is the data's own number."""
    test_images: int | None = None
    """Score the end on this many test images, drawn by `split_seed`; None is all. A score on fewer
    is a description, not a result."""
    split_seed: int = 0
    """Draws validation from train where the data has none of its own. Not the run's seed: all
    seeds of a comparison see the same split."""
    schedule: Schedule = "cosine"
    warmup: float = 0.0
    """Share of the updates over which the learning rate rises linearly from 0."""
    drop_path: float = 0.0
    """Stochastic depth (Huang 2016): probability at the last block, rising linearly from 0."""
    augmentation: Literal["per-sample", "per-batch", "none"] = "per-sample"
    """`per-batch` draws one set of parameters for the whole batch, as transforms for single
    images do when they are handed a batch."""
    crop_area: float = 0.35
    """Smallest share of the image's area that the random resized crop takes."""
    trivial: bool = True
    """TrivialAugmentWide (Müller 2021)."""
    erasing: float = 0.25
    """Probability of RandomErasing (Zhong 2020)."""
    repeats: int = 1
    """Repeated augmentation (Hoffer 2020): this many versions of an image in a batch. An epoch
    keeps its number of samples, so it shows so many times fewer images."""
    sampler: Literal["moving", "fixed"] = "moving"
    """`fixed` draws the first epoch's images, in the first epoch's order, in every epoch."""
    mixup: float = 0.0
    """Beta parameter of MixUp (Zhang 2018); 0 is none. With CutMix, one or the other a batch."""
    cutmix: float = 0.0
    """Beta parameter of CutMix (Yun 2019); 0 is none."""
    smoothing: float = 0.0
    """Label smoothing (Szegedy 2016)."""
    ema: float = 0.0
    """Decay of the averaged weights that are evaluated; 0 evaluates the weights themselves."""
    channels_last: bool = True
    compile: bool = False
    """Train through torch.compile; changes the result in the last digits, hence a field."""
    evaluate_every: int = 1
    """Epochs between two evaluations on validation; the last epoch is always evaluated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = ("drop_path", "ema", "smoothing", "warmup")
        checks = {
            **{
                f"{name} must be from 0 to below 1": 0 <= getattr(self, name) < 1 for name in shares
            },
            "erasing must be from 0 to 1": 0 <= self.erasing <= 1,
            "crop_area must be above 0 and at most 1": 0 < self.crop_area <= 1,
            "repeats must be at least 1": self.repeats >= 1,
            "evaluate_every must be at least 1": self.evaluate_every >= 1,
            "mixup and cutmix must be 0 or more": all(
                0 <= beta < float("inf") for beta in (self.mixup, self.cutmix)
            ),
            **{
                f"{name} must be at least 1": (count := getattr(self, name)) is None or count >= 1
                for name in ("train_images", "val_images", "test_images")
            },
        }
        for rule, holds in checks.items():
            if not holds:
                raise UserError(f"{self.name}: {rule}")
