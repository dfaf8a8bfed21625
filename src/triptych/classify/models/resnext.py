"""ResNeXt for small images (Xie 2017, section 5.3), made of timm's blocks."""

from __future__ import annotations

from timm.models.resnet import Bottleneck, ResNet
from torch import nn

from triptych.classify.models.drop_path import REFERENCE, install


def resnext(
    classes: int,
    *,
    planes: tuple[int, int, int] = (64, 128, 256),
    blocks: tuple[int, int, int] = (3, 3, 3),
    groups: int = 32,
    base_width: int = 4,
    stride: int = 1,
) -> nn.Module:
    """A ResNeXt of three stages; the defaults are ResNeXt-29 32×4d.

    A 3×3 stem with 64 channels and that stride, no max-pool; bottlenecks that put out
    4 × `planes` channels and are floor(`planes` × `base_width` / 64) × `groups` wide inside;
    global pool, linear. Images (N, 3, H, W) → logits (N, classes), at any size.
    """
    model = ResNet(
        Bottleneck,
        (*blocks, 0),
        channels=(*planes, planes[-1]),
        cardinality=groups,
        base_width=base_width,
        num_classes=classes,
        drop_path_rate=REFERENCE,
    )
    model.conv1 = nn.Conv2d(3, 64, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()
    install(model)
    made: nn.Module = model
    return made
