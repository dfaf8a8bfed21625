"""What did each of the original's two flaws cost, and do they decide convolution or transformer?"""

from __future__ import annotations

from dataclasses import replace

from triptych import recipe as recipes
from triptych.classify.recipes import ClassifyRecipe
from triptych.compare import Comparison
from triptych.recipe import Recipe

RUNGS: dict[str, dict[str, str]] = {
    "as-ran": {"augmentation": "per-batch", "sampler": "fixed"},
    "per-sample": {"augmentation": "per-sample", "sampler": "fixed"},
    "moving-sampler": {"augmentation": "per-batch", "sampler": "moving"},
    "published": {"augmentation": "per-sample", "sampler": "moving"},
}
MODELS = {"conv": "classify/small", "vit": "classify/small-vit"}


def comparison(data: str = "cifar100") -> Comparison:
    """Each rung for a convolutional network and a transformer of 0.39 M parameters each.

    On 6,000 of CIFAR-100's training images for 30 epochs, so that 24 runs end in about two hours
    on 2 cores. An image is repeated three times, so the sampler that stands shows 2,000 of them.
    """
    arms: dict[str, Recipe] = {}
    for arm, base in MODELS.items():
        recipe = recipes.get(base)
        assert isinstance(recipe, ClassifyRecipe)
        scaled = replace(recipe, data=data, train_images=6_000, epochs=30, evaluate_every=10)
        for rung, flaws in RUNGS.items():
            arms[f"{arm}-{rung}"] = replace(scaled, **flaws)  # type: ignore[arg-type]
    fixes = [
        (f"{arm}-{rung}", f"{arm}-as-ran") for arm in MODELS for rung in RUNGS if rung != "as-ran"
    ]
    models = [(f"vit-{rung}", f"conv-{rung}") for rung in ("as-ran", "published")]
    return Comparison(
        question="What did the original's two flaws cost a convolution and a transformer?",
        arms=arms,
        varies=frozenset({"model", "augmentation", "sampler"}),
        seeds=(0, 1, 2),
        metric="top1",
        margin=0.01,
        pairs=(*fixes, *models),
    )
