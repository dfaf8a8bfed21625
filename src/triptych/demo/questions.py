"""The demo's comparisons: each study's question in miniature, on scenes made by program.

Every one is trained for real, with three seeds an arm, so that a verdict may be given; small as
they are, most of what they could tell stays undecided, and the page says so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych import recipe as recipes
from triptych.classify.recipes import ClassifyRecipe, PopulationRecipe
from triptych.classify.recipes.population import tiny_pbt
from triptych.compare import Comparison
from triptych.detect.recipes import DetectRecipe
from triptych.segment.recipes import SegmentRecipe

BACKBONE = "test_efficientnet"
"""The backbone of `frcnn-tiny`, as the classifier that is trained beforehand."""


def _seeds(seed: int) -> tuple[int, ...]:
    return seed, seed + 1, seed + 2


def boundaries(seed: int) -> Comparison:
    """Does the InverseForm loss help a small segmentation model?"""
    base = recipes.get("segment/tiny")
    assert isinstance(base, SegmentRecipe)
    base = replace(
        base,
        data="streets:scenes=16,frames=3,size=192x96",
        val_data="streets:scenes=12,frames=3,size=192x96",
        epochs=4,
        evaluate_every=2,
    )
    return Comparison(
        question="Does the InverseForm loss help a small segmentation model?",
        arms={"labels-alone": base, "with-inverseform": replace(base, boundary="inverseform")},
        varies=frozenset({"boundary"}),
        seeds=_seeds(seed),
        metric="mIoU",
        margin=0.01,
        beside=("BF",),
    )


def backbone() -> ClassifyRecipe:
    """The training of a classifier on street objects, from which detectors start."""
    base = recipes.get("classify/tiny")
    assert isinstance(base, ClassifyRecipe)
    return replace(
        base, model=BACKBONE, data="objects:train=600,val=100,test=100,size=48", epochs=12
    )


def initialisation(seed: int, trained: Path) -> Comparison:
    """What is a backbone worth that was trained a moment before?"""
    base = recipes.get("detect/tiny")
    assert isinstance(base, DetectRecipe)
    base = replace(
        base,
        data="streets:scenes=24,frames=3,size=256x128",
        val_data="streets:scenes=12,frames=2,size=256x128",
        epochs=4,
        evaluate_every=2,
    )
    return Comparison(
        question="What is a backbone worth that was trained to classify a moment before?",
        arms={"random": base, "trained-backbone": replace(base, init=str(trained))},
        varies=frozenset({"init"}),
        seeds=_seeds(seed),
        metric="AP50",
        # So early AP is small, and a wide margin would call nothing and nothing equivalent.
        margin=0.005,
    )


def flaws(seed: int) -> Comparison:
    """What did the original's two flaws cost?"""
    base = recipes.get("classify/tiny")
    assert isinstance(base, ClassifyRecipe)
    base = replace(base, repeats=3, epochs=12, evaluate_every=4)
    ran: dict[str, Any] = {"augmentation": "per-batch", "sampler": "fixed"}
    return Comparison(
        question="What did the original's two flaws cost, in miniature?",
        arms={
            "as-ran": replace(base, **ran),
            "augmented-per-sample": replace(base, sampler="fixed"),
            "both-mended": base,
        },
        varies=frozenset({"augmentation", "sampler"}),
        seeds=_seeds(seed),
        metric="top1",
        margin=0.02,
    )


def models(seed: int) -> Comparison:
    """Convolution or transformer, each searched by a population?"""
    convolution = tiny_pbt()
    assert isinstance(convolution, PopulationRecipe)
    convolution = replace(convolution, epochs=6)
    return Comparison(
        question="Convolution or transformer of 26 and 28 thousand parameters, each searched by a "
        "population of 4?",
        arms={"ResNeXt": convolution, "ViT": replace(convolution, model="vit-tiny")},
        varies=frozenset({"model"}),
        seeds=_seeds(seed),
        metric="top1",
        margin=0.02,
    )
