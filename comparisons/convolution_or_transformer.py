"""The original's question, at its own size and budget, without its flaws and its search."""

from __future__ import annotations

from triptych import recipe as recipes
from triptych.compare import Comparison


def comparison() -> Comparison:
    """ResNeXt-29 against ViT-13 and ViT-6 in the published regime; wants a GPU."""
    return Comparison(
        question="Convolution or transformer, at 4.9 million parameters, on CIFAR-100?",
        arms={
            "resnext29": recipes.get("classify/published"),
            "vit13": recipes.get("classify/published-vit13"),
            "vit6": recipes.get("classify/published-vit6"),
        },
        varies=frozenset({"model"}),
        seeds=(0, 1, 2),
        metric="top1",
        margin=0.01,
    )
