"""Is Population Based Training worth it? The original used it, and compared it with nothing."""

from __future__ import annotations

from dataclasses import replace

from triptych import recipe as recipes
from triptych.classify.recipes import ClassifyRecipe, PopulationRecipe
from triptych.classify.recipes.population import without_takeovers
from triptych.compare import Comparison

IMAGES = 5_120
"""A multiple of every batch size of the space, so that an epoch is as many samples in all arms."""


def comparison(data: str = "cifar100") -> Comparison:
    """A population, the same members without takeovers, and one training with fixed values.

    All three see the same number of samples in total: 8 members of 12 epochs, or one training of
    96. Random search starts with the very members of the population and keeps the best of them by
    validation. A network of 26 thousand parameters on 5,120 of CIFAR-100's images, in float32, so
    that 9 runs end in about 80 minutes of one CPU core.
    """
    population, single = recipes.get("classify/small-pbt"), recipes.get("classify/small")
    assert isinstance(population, PopulationRecipe)
    assert isinstance(single, ClassifyRecipe)
    pbt = replace(
        population,
        model="resnext-tiny",
        data=data,
        train_images=IMAGES,
        val_images=2_000,
        precision="float32",
        epochs=12,
        interval=1,
        evaluate_every=1,
    )
    alike = ("model", "data", "train_images", "val_images", "precision")
    fixed = replace(
        single,
        **{name: getattr(pbt, name) for name in alike},
        epochs=pbt.members * pbt.epochs,
        evaluate_every=pbt.members,
    )
    return Comparison(
        question="Is Population Based Training worth its cost?",
        arms={
            "fixed": fixed,
            "random-search": without_takeovers(pbt, "classify/small-random-search"),
            "pbt": pbt,
        },
        # Between populations only the interval differs; the others set a single training apart.
        varies=frozenset(
            {"interval", "members", "space", "optimiser", "schedule", "warmup"}
            | {"epochs", "evaluate_every"}
        ),
        seeds=(0, 1, 2),
        metric="top1",
        margin=0.01,
        beside=("val_top1", "loss"),
        pairs=(("pbt", "fixed"), ("pbt", "random-search")),
    )
