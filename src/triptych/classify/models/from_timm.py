"""Any architecture of timm by its name, without its weights."""

from __future__ import annotations

import timm
from torch import nn

from triptych.classify.models.drop_path import REFERENCE, install
from triptych.errors import UserError
from triptych.training.cost import evaluate_once


def from_timm(name: str, classes: int, image_size: int) -> nn.Module:
    """A timm model with freshly drawn weights; images (N, 3, S, S) → logits (N, classes).

    Gets the image size and stochastic depth where the architecture knows them. Raises whatever
    timm raises.
    """
    wanted = {"img_size": image_size, "drop_path_rate": REFERENCE}
    while True:
        try:
            model: nn.Module = timm.create_model(
                name, pretrained=False, num_classes=classes, **wanted
            )
        except TypeError as error:
            # timm forwards what it is given, and the constructor says what it does not know.
            unknown = next((key for key in wanted if f"'{key}'" in str(error)), None)
            if unknown is None:
                raise
            del wanted[unknown]
        else:
            install(model)
            return model


def working_from_timm(name: str, classes: int, image_size: int) -> nn.Module:
    """`from_timm`, after the model has taken one image.

    Raises UserError where timm refuses the size, the model fails on an image of it, or its patches
    do not divide it (timm would drop the pixels at the border).
    """
    size = f"{image_size}×{image_size}"
    try:
        model = from_timm(name, classes, image_size)
        evaluate_once(model, image_size)
    except Exception as error:
        # 1,300 architectures refuse a size in as many ways.
        what = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"timm's {name} does not take images of {size} pixels: {what}") from error
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", 1)
    if any(image_size % side for side in (patch if isinstance(patch, tuple) else (patch,))):
        raise UserError(f"the patches of timm's {name}, {patch}, do not divide images of {size}")
    return model
