"""The recipes of `segment`. No torch is imported here: listing recipes must be fast."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from triptych.errors import UserError
from triptych.recipe import Recipe, register
from triptych.segment.inverse.recipe import THE_PUBLISHED  # importing it enters its recipe
from triptych.training.schedules import Schedule


@dataclass(frozen=True, kw_only=True)
class SegmentRecipe(Recipe):
    """A segmentation training: AdamW on cross-entropy over all pixels that are not void."""

    val_data: str | None = None
    """Another data set to evaluate on; None is `data`."""
    extra_data: str | None = None
    """A data set whose `train` split is trained on along, its classes mapped to those of `data`.
    Pictures that a teacher labelled are `labelled:DIR,OUT/labels/TEACHER`, after
    `triptych predict DIR --model TEACHER --save-labels --out OUT`."""
    train_split: str = "train"
    val_split: str = "val"
    schedule: Schedule = "cosine"
    warmup: float = 0.0
    """Share of the updates over which the learning rate rises linearly from 0."""
    crop: tuple[int, int] | None = None
    """Height and width of what the model sees; None is the frame's own size."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Range of the random rescaling, before the crop."""
    flip: bool = True
    """Flip left and right with probability 0.5."""
    rare_crops: float = 0.0
    """Share of the samples whose crop is laid around a pixel of a class drawn evenly from those in
    the frame, so that rare classes are seen more often."""
    jitter: float = 0.0
    """Brightness and contrast are multiplied by factors from 1 - jitter to 1 + jitter."""
    gamma: float = 0.0
    """Exponents from 1 / (1 + gamma) to 1 + gamma, evenly in their logarithm."""
    white_balance: float = 0.0
    """Each colour channel is multiplied by a factor of its own from 1 - this to 1 + this."""
    saturation: float = 0.0
    """The distance from grey is multiplied by factors from 1 - saturation to 1 + saturation."""
    noise: float = 0.0
    """Largest standard deviation of the Gaussian noise, in grey levels of 255."""
    blur: float = 0.0
    """Largest sigma in pixels of the Gaussian blur that every second sample gets."""
    init: Literal["random", "imagenet"] = "random"
    """What the trunk starts from."""
    trunk_lr: float = 1.0
    """The trunk's learning rate as a factor of `lr`."""
    class_weights: Literal["none", "log", "median"] = "none"
    """Weights of the classes in the loss, from the pixel shares f of the training split: `log` is
    1 / log(1.02 + f) (Paszke 2016, ENet), `median` is median(f) / f (Badrinarayanan 2017,
    SegNet); both are scaled so that the average pixel weighs 1."""
    boundary: Literal["none", "edges", "inverseform"] = "none"
    """What is learnt besides the labels: nothing, the boundaries (an edge head with its balanced
    cross-entropy, and attention to what it finds), or these and InverseForm (Borse 2021)."""
    inverse_network: str | None = None
    """Which inverse network InverseForm asks: None is the one in this package, `published` that of
    its authors, else the folder of a run of `segment/inverse`."""
    geodesic: bool | None = None
    """Whether InverseForm measures homographies along geodesics instead of by the norm of their
    coefficients; not with the published network, whose coefficients are no homography's."""
    folds: Literal["none", "drives"] = "none"
    """`drives`: one training for each drive of `train_split`, scored on that drive and trained on
    the others; the run's scores are over the frames of all."""
    ema: float = 0.0
    """Decay of the averaged weights that are evaluated; 0 evaluates the weights themselves."""
    evaluate_every: int = 1
    """Epochs between two evaluations on `val_split`; the last epoch is always evaluated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks = {
            "evaluate_every must be at least 1": self.evaluate_every >= 1,
            "warmup must be from 0 to below 1": 0 <= self.warmup < 1,
            "ema must be from 0 to below 1": 0 <= self.ema < 1,
            "jitter must be from 0 to below 1": 0 <= self.jitter < 1,
            "white_balance must be from 0 to below 1": 0 <= self.white_balance < 1,
            "saturation must be from 0 to 1": 0 <= self.saturation <= 1,
            "rare_crops must be from 0 to 1": 0 <= self.rare_crops <= 1,
            "gamma, noise and blur must be 0 or more": all(
                0 <= value < math.inf for value in (self.gamma, self.noise, self.blur)
            ),
            "trunk_lr must be above 0": 0 < self.trunk_lr < math.inf,
            "geodesic=true needs homographies, which inverse_network=published does not give": not (
                self.geodesic and self.inverse_network == THE_PUBLISHED
            ),
            "scale must be two positive numbers, the smaller first": (
                0 < self.scale[0] <= self.scale[1] < math.inf
            ),
            "crop must be two sizes of at least 32": self.crop is None or min(self.crop) >= 32,
        }
        for rule, holds in checks.items():
            if not holds:
                raise UserError(f"{self.name}: {rule}")

    def without_augmentation(self) -> Self:
        """The same recipe with frames as they are, but for the place of the crop."""
        nothing: dict[str, Any] = dict.fromkeys(
            ("rare_crops", "jitter", "gamma", "white_balance", "saturation", "noise", "blur"), 0.0
        )
        return replace(self, scale=(1.0, 1.0), flip=False, **nothing)


@register("segment/tiny")
def tiny() -> SegmentRecipe:
    """A small network from scratch on procedural streets, scored on streets never seen.

    Command: triptych train segment/tiny
    Time: about a minute on 2 cores
    Score: mIoU 0.34, pixel accuracy 0.83 on streets val (always saying `road`: 0.02 and 0.30)
    """
    return SegmentRecipe(
        name="segment/tiny",
        model="tiny",
        data="streets:scenes=64,frames=6,size=192x96",
        val_data="streets:scenes=24,frames=4,size=192x96",
        epochs=14,
        batch_size=8,
        lr=6e-3,
        weight_decay=1e-3,
        warmup=0.1,
        scale=(0.8, 1.25),
        jitter=0.1,
        ema=0.9,
        evaluate_every=7,
    )


def _driving(name: str, **changes: Any) -> SegmentRecipe:
    """What all recipes on real driving scenes share: the next drive has another light."""
    settings: dict[str, Any] = {
        "model": "street",
        "init": "imagenet",
        "epochs": 100,
        "batch_size": 8,
        "lr": 1e-3,
        "weight_decay": 1e-2,
        "warmup": 0.03,
        "precision": "bfloat16",
        "class_weights": "log",
        "crop": (256, 320),
        "scale": (0.6, 1.8),
        "jitter": 0.4,
        "gamma": 0.6,
        "white_balance": 0.15,
        "saturation": 0.5,
        "noise": 6.0,
        "blur": 1.0,
        "ema": 0.995,
        "evaluate_every": 10,
    }
    return SegmentRecipe(name=name, **(settings | changes))


@register("segment/camvid")
def camvid() -> SegmentRecipe:
    """The small street network on CamVid's classic split, which papers use.

    Command: triptych train segment/camvid --set data=camvid:DIR
    Time: about two hours on 2 cores
    Score: see docs/street.md; val is seven seconds of a drive that is trained on
    """
    return _driving("segment/camvid", data="camvid:CamVid")


@register("segment/street")
def street() -> SegmentRecipe:
    """The default model: CamVid's train and val together, everything chosen by street-folds.

    Command: triptych train segment/street --set data=camvid:DIR
    Time: about three hours on 2 cores
    Score: see docs/street.md; what it prints is on frames that it was trained on
    """
    return _driving(
        "segment/street", data="camvid:CamVid", train_split="trainval", evaluate_every=20
    )


@register("segment/street-folds")
def street_folds() -> SegmentRecipe:
    """The same, leaving out one drive at a time: what to expect on a drive never seen.

    Command: triptych train segment/street-folds --set data=camvid:DIR
    Time: three times that of segment/street
    Score: see docs/street.md
    """
    return _driving(
        "segment/street-folds",
        data="camvid:CamVid",
        train_split="trainval",
        folds="drives",
        evaluate_every=20,
    )


@register("segment/cityscapes")
def cityscapes() -> SegmentRecipe:
    """The large street network on Cityscapes' fine labels.

    Command: triptych train segment/cityscapes --set data=cityscapes:DIR
    Time: made for a GPU; not yet run at length
    Score: not measured
    """
    return _driving(
        "segment/cityscapes",
        model="street-large",
        data="cityscapes:cityscapes",
        batch_size=16,
        crop=(768, 768),
        scale=(0.5, 2.0),
        class_weights="none",
        ema=0.999,
    )


@register("segment/folder")
def folder() -> SegmentRecipe:
    """The small street network on pictures and label images of your own.

    Command: triptych train segment/folder --set data=folder:DIR
    Time: about 5 pictures a second on 2 cores
    Score: depends on the data; `triptych data check folder:DIR` first
    """
    return _driving("segment/folder", data="folder:labelled")


@register("segment/streets")
def streets() -> SegmentRecipe:
    """The small street network on procedural streets.

    Command: triptych train segment/streets
    Time: about an hour on 2 cores
    Score: not measured
    """
    return _driving(
        "segment/streets",
        data="streets:scenes=128,frames=4,size=320x192",
        val_data="streets:scenes=24,frames=4,size=320x192",
        epochs=30,
        crop=None,
        scale=(0.8, 1.25),
    )
