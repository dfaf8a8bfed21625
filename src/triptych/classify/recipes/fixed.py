"""Recipes with fixed hyperparameters.

The original gives ranges of hyperparameters, which its Population Based Training searched; the
fixed values of `classify/published` are ours, and the same for every model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from triptych.classify.recipes.base import ClassifyRecipe
from triptych.recipe import register


def _published(name: str, model: str) -> ClassifyRecipe:
    return ClassifyRecipe(
        name=name,
        model=model,
        data="cifar100",
        epochs=200,
        batch_size=128,
        lr=5e-4,
        weight_decay=1e-3,
        drop_path=0.1,
        crop_area=0.35,
        erasing=0.25,
        repeats=3,
        mixup=0.8,
        cutmix=1.0,
        smoothing=0.1,
        precision="bfloat16",
        evaluate_every=10,
    )


@register("classify/published")
def published() -> ClassifyRecipe:
    """ResNeXt-29 as the original describes its training, at fixed hyperparameters.

    Command: triptych train classify/published --set data=cifar100:DIR
    Time: not measured in full
    Score: not measured in full; the original, with its search and its flaws: test top1 0.631
    """
    return _published("classify/published", "resnext29")


@register("classify/published-vit13")
def published_vit13() -> ClassifyRecipe:
    """ViT-13 in place of ResNeXt-29, all else as `classify/published`.

    Command: triptych train classify/published-vit13 --set data=cifar100:DIR
    Time: not measured in full
    Score: not measured in full; the original, with its search and its flaws: test top1 0.429
    """
    return _published("classify/published-vit13", "vit13")


@register("classify/published-vit6")
def published_vit6() -> ClassifyRecipe:
    """ViT-6 in place of ResNeXt-29, all else as `classify/published`.

    Command: triptych train classify/published-vit6 --set data=cifar100:DIR
    Time: not measured in full
    Score: not measured in full; the original, with its search and its flaws: test top1 0.388
    """
    return _published("classify/published-vit6", "vit6")


def _as_ran(recipe: ClassifyRecipe, name: str) -> ClassifyRecipe:
    """The two flaws of the original's code: one augmentation a batch, a sampler that stands."""
    return replace(recipe, name=name, augmentation="per-batch", sampler="fixed")


@register("classify/published-as-ran")
def published_as_ran() -> ClassifyRecipe:
    """`classify/published` with both flaws that the original's code had.

    Every batch shares one set of augmentation parameters, and every epoch shows the same third of
    the training images. Other models: --set model=vit13.

    Command: triptych train classify/published-as-ran --set data=cifar100:DIR
    Time: as `classify/published`
    Score: not measured in full; reduced: results/flaw-ladder
    """
    return _as_ran(published(), "classify/published-as-ran")


@register("classify/published-per-sample")
def published_per_sample() -> ClassifyRecipe:
    """`classify/published-as-ran` with the first flaw mended: augmentation is drawn per sample.

    Command: triptych train classify/published-per-sample --set data=cifar100:DIR
    Time: as `classify/published`
    Score: not measured in full; reduced: results/flaw-ladder
    """
    return replace(published(), name="classify/published-per-sample", sampler="fixed")


@register("classify/published-moving-sampler")
def published_moving_sampler() -> ClassifyRecipe:
    """`classify/published-as-ran` with the second flaw mended: the sampler moves on every epoch.

    Command: triptych train classify/published-moving-sampler --set data=cifar100:DIR
    Time: as `classify/published`
    Score: not measured in full; reduced: results/flaw-ladder
    """
    return replace(published(), name="classify/published-moving-sampler", augmentation="per-batch")


def _small(name: str, model: str) -> ClassifyRecipe:
    # The published regime, for models of 0.39 M parameters and fewer epochs.
    return replace(
        published(),
        name=name,
        model=model,
        epochs=30,
        batch_size=64,
        lr=1e-3,
        warmup=0.05,
    )


@register("classify/small")
def small() -> ClassifyRecipe:
    """A ResNeXt of 0.39 M parameters, so that the question can be asked on a CPU, over seeds.

    Command: triptych train classify/small --set data=cifar100:DIR
    Time: under an hour on 2 cores
    Score: not measured in full
    """
    return _small("classify/small", "resnext-small")


@register("classify/small-vit")
def small_vit() -> ClassifyRecipe:
    """A ViT of 0.39 M parameters, all else as `classify/small`.

    Command: triptych train classify/small-vit --set data=cifar100:DIR
    Time: under an hour on 2 cores
    Score: not measured in full
    """
    return _small("classify/small-vit", "vit-small")


def _strong(name: str, model: str, **changes: Any) -> ClassifyRecipe:
    # What peers reach their figures with: every image in every epoch, longer warm-up, stronger
    # weight decay, averaged weights.
    recipe = replace(
        published(),
        name=name,
        model=model,
        lr=2e-3,
        weight_decay=0.05,
        warmup=0.05,
        repeats=1,
        ema=0.999,
    )
    return replace(recipe, **changes)


@register("classify/strong")
def strong() -> ClassifyRecipe:
    """Our best fixed recipe for ResNeXt-29 from scratch. Not measured yet: it wants a GPU.

    Command: triptych train classify/strong --set data=cifar100:DIR
    Time: not measured
    Score: not measured; a peer's figure for the same network is test top1 0.805
    """
    return _strong("classify/strong", "resnext29")


@register("classify/strong-vit13")
def strong_vit13() -> ClassifyRecipe:
    """Our best fixed recipe for ViT-13 from scratch. Not measured yet: it wants a GPU.

    Command: triptych train classify/strong-vit13 --set data=cifar100:DIR
    Time: not measured
    Score: not measured; peers' figures for transformers of this size are top1 0.70 to 0.77
    """
    return _strong("classify/strong-vit13", "vit13", lr=1e-3)


@register("classify/strong-vit6")
def strong_vit6() -> ClassifyRecipe:
    """Our best fixed recipe for ViT-6 from scratch. Not measured yet: it wants a GPU.

    Command: triptych train classify/strong-vit6 --set data=cifar100:DIR
    Time: not measured
    Score: not measured
    """
    return _strong("classify/strong-vit6", "vit6", lr=1e-3)


@register("classify/strong-cct7")
def strong_cct7() -> ClassifyRecipe:
    """Our best fixed recipe for CCT-7/3x1 (3.8 M). Not measured yet: it wants a GPU.

    Command: triptych train classify/strong-cct7 --set data=cifar100:DIR
    Time: not measured
    Score: not measured; its paper gives top1 0.771 at 200 epochs
    """
    return _strong("classify/strong-cct7", "cct7", lr=1e-3)


@register("classify/strong-slvit")
def strong_slvit() -> ClassifyRecipe:
    """Our best fixed recipe for a ViT with SPT and LSA (4.8 M). Not measured yet: wants a GPU.

    Command: triptych train classify/strong-slvit --set data=cifar100:DIR
    Time: not measured
    Score: not measured; its authors give top1 0.769 for 2.8 M parameters
    """
    return _strong("classify/strong-slvit", "slvit", lr=1e-3)


@register("classify/tiny")
def tiny() -> ClassifyRecipe:
    """A convolutional network of 26 thousand parameters on procedural street objects.

    Command: triptych train classify/tiny
    Time: about 3 s on 2 cores, after about 10 s in which the pictures are drawn once
    Score: test top1 0.45 ± 0.02 (n = 3; chance 0.10)
    """
    return ClassifyRecipe(
        name="classify/tiny",
        model="resnext-tiny",
        data="objects:train=300,val=100,test=100",
        epochs=20,
        batch_size=32,
        lr=4e-3,
        weight_decay=1e-2,
        warmup=0.1,
        crop_area=0.6,
        trivial=False,
        erasing=0.0,
        evaluate_every=5,
    )
