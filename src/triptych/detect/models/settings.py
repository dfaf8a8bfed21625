"""What a detector is built with, besides its backbone: one record of every number."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.errors import UserError

STRIDES = (4, 8, 16, 32)
"""Of the maps that a feature pyramid is made of."""


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """Sizes are in pixels of the resized picture, thresholds are IoU (intersection over union).

    The names follow Ren 2015 (Faster R-CNN, NeurIPS) and torchvision's `FasterRCNN`. Raises
    UserError where a number cannot be.
    """

    min_size: int
    """A picture is resized, its shape kept, such that its shorter side has this many pixels …"""
    max_size: int
    """… but its longer side no more than this."""
    pad_to: int = 32
    """Pictures of a batch are padded right and below with the mean colour, to the smallest multiple
    of this that holds all of them. A multiple as large as `max_size` makes every input the same
    square (a letterbox), so that nothing depends on which pictures share a batch."""
    anchor_sizes: tuple[tuple[int, ...], ...]
    """Sides of the square anchors of each map, the finest map first."""
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height over width of the anchors."""

    rpn_positive_iou: float = 0.7
    rpn_negative_iou: float = 0.3
    rpn_samples: int = 256
    """Anchors of one picture that enter the loss."""
    rpn_positive_share: float = 0.5
    """At most this share of them are positive."""
    rpn_nms: float = 0.7
    rpn_before_nms: tuple[int, int] = (2000, 1000)
    """Proposals kept on each map before non-maximum suppression, in training and in evaluation."""
    rpn_after_nms: tuple[int, int] = (2000, 1000)
    """Proposals of a picture kept after it."""

    pool: int = 7
    """Side of what RoIAlign (He 2017) cuts out of a map, in cells."""
    pool_samples: int = 2
    """Points along each side of a cell at which the map is read."""
    canonical_size: int = 224
    """Side of the box that is read from the map of stride 16 (Lin 2017, FPN, equation 1)."""
    box_positive_iou: float = 0.5
    box_samples: int = 512
    """Proposals of one picture that enter the loss."""
    box_positive_share: float = 0.25
    fpn_channels: int = 256
    head_channels: int = 1024
    """Of the two linear layers of the box head; where a stage of the backbone is the head, none."""

    score_floor: float = 0.05
    """Detections with less are not given."""
    nms: float = 0.5
    """Detections of one class that overlap more than this with a better one are left out."""
    max_detections: int = 100
    """Of one picture, over all classes."""

    def __post_init__(self) -> None:
        shares = ("rpn_positive_share", "box_positive_share", "score_floor", "nms", "rpn_nms")
        ious = ("rpn_positive_iou", "rpn_negative_iou", "box_positive_iou")
        counts = ("rpn_samples", "box_samples", "pool", "pool_samples", "canonical_size")
        sizes = [size for sizes in self.anchor_sizes for size in sizes]
        checks = {
            "min_size must be at least 32 and at most max_size": 32
            <= self.min_size
            <= self.max_size,
            # torchvision places anchors by the whole part of size / cells: 600 / 38 would be 15.
            "pad_to must be a multiple of 32, the backbone's stride": self.pad_to > 0
            and self.pad_to % 32 == 0,
            "anchor_sizes must be positive, with as many on each map": bool(sizes)
            and min(sizes) > 0
            and len({len(each) for each in self.anchor_sizes}) == 1,
            "aspect_ratios must be positive": bool(self.aspect_ratios)
            and min(self.aspect_ratios) > 0,
            **{f"{name} must be from 0 to 1": 0 <= getattr(self, name) <= 1 for name in shares},
            **{f"{name} must be above 0, to 1": 0 < getattr(self, name) <= 1 for name in ious},
            "rpn_negative_iou must be at most rpn_positive_iou": self.rpn_negative_iou
            <= self.rpn_positive_iou,
            **{f"{name} must be at least 1": getattr(self, name) >= 1 for name in counts},
            "rpn_before_nms, rpn_after_nms and max_detections must be at least 1": min(
                *self.rpn_before_nms, *self.rpn_after_nms, self.max_detections
            )
            >= 1,
            "fpn_channels and head_channels must be at least 1": min(
                self.fpn_channels, self.head_channels
            )
            >= 1,
        }
        for rule, holds in checks.items():
            if not holds:
                raise UserError(f"detector settings: {rule}")


FPN = DetectorSettings(
    min_size=800, max_size=1333, anchor_sizes=((32,), (64,), (128,), (256,), (512,))
)
"""torchvision's defaults (`fasterrcnn_resnet50_fpn`)."""

FPN_600 = DetectorSettings(min_size=600, max_size=1000, anchor_sizes=FPN.anchor_sizes)
"""The same at the sizes of Ren 2015."""

FPN_320 = DetectorSettings(
    min_size=320,
    max_size=320,
    pad_to=320,
    anchor_sizes=((16,), (32,), (64,), (128,), (256,)),
    canonical_size=112,
    rpn_before_nms=(1000, 500),
    rpn_after_nms=(500, 300),
    box_samples=128,
    fpn_channels=128,
    head_channels=512,
)
"""For small pictures on a processor: boxes are half as large as at 600 pixels or less. A square:
two in three batches of 4 from VOC have both orientations and would be padded to it anyway, and so
BatchNorm meets the same padding in every batch and in evaluation."""

FPN_TINY = DetectorSettings(
    min_size=128,
    max_size=256,
    anchor_sizes=((8,), (16,), (32,), (64,), (128,)),
    canonical_size=64,
    rpn_samples=64,
    rpn_before_nms=(200, 200),
    rpn_after_nms=(200, 100),
    box_samples=64,
    fpn_channels=32,
    head_channels=128,
)
"""For scenes made by program, in seconds."""

C4 = DetectorSettings(
    min_size=600,
    max_size=600,
    pad_to=608,
    anchor_sizes=((128, 256, 512),),
    rpn_before_nms=(12000, 6000),
    rpn_after_nms=(2000, 300),
    pool=14,
    box_samples=128,
)
"""Ren 2015 with ResNet (He 2016, appendix A) on a square of 600 pixels. It is padded to 608, the
next multiple of 32: at 600 torchvision would lay the anchors 15 pixels apart instead of 16."""
