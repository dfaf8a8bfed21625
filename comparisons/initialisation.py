"""What is a pre-trained backbone worth to a detector? The original found ImageNet > COCO > random.

Beside the verdicts stands how many samples each arm needs for a score that the weaker one reaches:
how many epochs of training the weights are worth. COCO has boxes of all 20 classes of VOC, so that
its arm has seen what it is asked; the verdict says so.
"""

from __future__ import annotations

from dataclasses import replace

from triptych import recipe as recipes
from triptych.compare import Comparison
from triptych.detect.recipes import DetectRecipe

NOTES = (
    "what the audit marks as frozen in the pre-trained arms are 7 biases (1,008 parameters) of "
    "blocks whose output only another BatchNorm sees, which takes a constant away again: no loss "
    "depends on them, and only rounding moves them where they begin at 0",
)


def comparison(
    data: str = "voc2007:VOCdevkit",
    train_images: int | None = 800,
    val_images: int | None = 150,
    epochs: int = 5,
) -> Comparison:
    """Random, ImageNet and COCO weights in EfficientNet-Lite0 under a feature pyramid, 320 pixels.

    Nothing is frozen in any arm. AP is measured after every epoch, since a pre-trained arm may pass
    in its first ones what the other needs all of its training for. On 800 images of VOC2007 train
    and 150 of val, nine runs of half an hour of one processor core each. All of the data, as it is
    meant for a GPU: `--set train_images=none --set val_images=none --set epochs=24`.
    """
    base = recipes.get("detect/lite")
    assert isinstance(base, DetectRecipe)
    base = replace(
        base,
        data=data,
        train_images=train_images,
        val_images=val_images,
        epochs=epochs,
        # As many updates as BatchNorm allows: in a training this brief they count.
        batch_size=4,
        lr=0.01,
        evaluate_every=1,
    )
    return Comparison(
        question="What is a pre-trained backbone worth to a detector?",
        arms={init: replace(base, init=init) for init in ("random", "imagenet", "coco")},
        varies=frozenset({"init"}),
        seeds=(0, 1, 2),
        metric="AP50",
        margin=0.01,
        beside=("AP50_11point", "AP"),
        notes=NOTES,
        reach=(0.1,),
        # The original's claim is an order of all three.
        pairs=(("imagenet", "random"), ("coco", "random"), ("imagenet", "coco")),
    )
