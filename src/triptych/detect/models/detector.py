"""Faster R-CNN on torchvision's parts, with its traps taken out.

- torchvision refuses boxes without area (vision #2144, #2235) and gives NaN where a batch offers
  nothing to classify (#997): here such boxes are left out and that loss is 0.
- It finds the stride of a map by the size of the first batch's pictures without their padding, once
  for all, which goes wrong for a letterboxed picture: here strides are given.
- Under bfloat16 it would compute the corners of boxes with 8 bits, two pixels apart at 300: here
  scores and boxes leave the heads in float32.
- Its backbones are built frozen: here nothing is, until `freezing.freeze` says so.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import clip_boxes_to_image
from torchvision.ops.poolers import initLevelMapper

from triptych.detect.models.roi_pool import RoIPool
from triptych.detect.models.settings import DetectorSettings
from triptych.detect.models.sparse_rpn import SparseRPN

if TYPE_CHECKING:
    from triptych.detect.models.registry import ModelEntry

Target = dict[str, Tensor]
"""`boxes` (N, 4) float32, (x1, y1, x2, y2) in pixels of the picture, and `labels` (N,) int64 from
1, as 0 is the background."""
Prediction = dict[str, Tensor]
"""`boxes` (N, 4) and `labels` (N,) as in a target, `scores` (N,), the best first."""

LOSSES = ("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg")
"""Of the box head, its classes and its boxes, and of the RPN (Ren 2015, equation 1)."""

_SMALLEST = 1e-3
"""Sides of boxes in pixels below this are none: so the RPN holds it with its proposals."""


class Detector(FasterRCNN):  # type: ignore[misc]
    """Faster R-CNN; torchvision's names for all parameters.

    In training, `forward(images, targets)` gives the four `LOSSES`, whose sum is the loss. In
    evaluation `forward(images)` gives the detections of each picture. Images are (3, H, W) float
    RGB from 0 to 1, of any sizes; boxes are in their pixels.
    """

    _held: tuple[nn.Module, ...] = ()

    def __init__(
        self,
        backbone: nn.Module,
        classes: int,
        settings: DetectorSettings,
        entry: ModelEntry,
        *,
        strides: Sequence[int],
        stages: Mapping[str, str],
        trunk: Mapping[str, str],
        head: nn.Module | None = None,
        head_channels: int | None = None,
    ) -> None:
        """`backbone` gives maps of its `out_channels` for each anchor size, those that boxes are
        read from at `strides` first. `trunk` maps names of the backbone's entries, as its
        classifier has them, to their names in this model; `stages` maps the same names to stages.
        `head` maps RoIs to (R, head_channels); None is the two linear layers of FPN."""
        channels = int(cast(Any, backbone).out_channels)
        if head is None:
            head_channels = settings.head_channels
            head = TwoMLPHead(channels * settings.pool**2, head_channels)
        assert head_channels is not None
        anchors = AnchorGenerator(
            settings.anchor_sizes, (settings.aspect_ratios,) * len(settings.anchor_sizes)
        )
        wants = entry.normalisation
        scale = 255 * wants.scale
        super().__init__(
            backbone,
            min_size=settings.min_size,
            max_size=settings.max_size,
            size_divisible=settings.pad_to,
            image_mean=[mean / scale for mean in wants.mean],
            image_std=[std / scale for std in wants.std],
            rpn_anchor_generator=anchors,
            rpn_head=_RPNHead(channels, anchors.num_anchors_per_location()[0]),
            rpn_pre_nms_top_n_train=settings.rpn_before_nms[0],
            rpn_pre_nms_top_n_test=settings.rpn_before_nms[1],
            rpn_post_nms_top_n_train=settings.rpn_after_nms[0],
            rpn_post_nms_top_n_test=settings.rpn_after_nms[1],
            rpn_nms_thresh=settings.rpn_nms,
            rpn_fg_iou_thresh=settings.rpn_positive_iou,
            rpn_bg_iou_thresh=settings.rpn_negative_iou,
            rpn_batch_size_per_image=settings.rpn_samples,
            rpn_positive_fraction=settings.rpn_positive_share,
            box_roi_pool=_pool(strides, settings),
            box_head=head,
            box_predictor=_Predictor(head_channels, classes + 1),
            box_score_thresh=settings.score_floor,
            box_nms_thresh=settings.nms,
            box_detections_per_img=settings.max_detections,
            box_fg_iou_thresh=settings.box_positive_iou,
            box_bg_iou_thresh=settings.box_positive_iou,
            box_batch_size_per_image=settings.box_samples,
            box_positive_fraction=settings.box_positive_share,
        )
        self.rpn: SparseRPN = SparseRPN.like(cast(Any, self).rpn)
        self.settings = settings
        self.trunk_name = entry.trunk
        self.trunk = dict(trunk)
        self.stages = dict(stages)

    def forward(
        self, images: Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> dict[str, Tensor] | list[Prediction]:
        """See the class. Raises ValueError in training without targets."""
        if self.training and targets is None:
            raise ValueError("targets are needed in training")
        own = [_size(image) for image in images]
        if not self.training:
            images = [self._thick(image) for image in images]
        sizes = [_size(image) for image in images]
        asked = list(targets) if self.training and targets is not None else None
        batch, wanted = self.transform(list(images), asked)
        features = self.backbone(batch.tensors.contiguous(memory_format=torch.channels_last))
        if isinstance(features, Tensor):
            features = OrderedDict([("0", features)])
        if wanted is not None:
            wanted = [_with_area(target) for target in wanted]
        proposals, rpn_losses = self.rpn(batch, features, wanted)
        if wanted is not None and not any(map(len, proposals + [t["boxes"] for t in wanted])):
            nothing = batch.tensors.new_zeros(())
            return {"loss_classifier": nothing, "loss_box_reg": nothing.clone(), **rpn_losses}
        found, box_losses = self.roi_heads(features, proposals, batch.image_sizes, wanted)
        if wanted is not None:
            return {**box_losses, **rpn_losses}
        detections: list[Prediction] = self.transform.postprocess(found, batch.image_sizes, sizes)
        for index in range(len(own)):
            if own[index] != sizes[index]:
                boxes = detections[index]["boxes"]
                detections[index]["boxes"] = clip_boxes_to_image(boxes, own[index])
        return detections

    def _thick(self, image: Tensor) -> Tensor:
        """A picture (3, H, W) of which a pixel is left when it is resized: one that is too flat has
        its last row or column repeated."""
        height, width = _size(image)
        longer, most = max(height, width), self.settings.max_size
        if min(height, width) * most > longer:
            return image
        least = math.ceil(longer / most) + 1
        below, right = max(least - height, 0), max(least - width, 0)
        return F.pad(image[None], (0, right, 0, below), mode="replicate")[0]

    def every_output(self, images: Tensor) -> Tensor:
        """What detections are chosen from, flat: scores and boxes of the RPN everywhere, those of
        the head for a box as large as each picture. Of images (N, 3, H, W), in evaluation."""
        batch, _ = self.transform(list(images))
        features = self.backbone(batch.tensors)
        if isinstance(features, Tensor):
            features = OrderedDict([("0", features)])
        scores, deltas = self.rpn.head(list(features.values()))
        boxes = [
            batch.tensors.new_tensor([[0.0, 0.0, width, height]])
            for height, width in batch.image_sizes
        ]
        roi = self.roi_heads
        pooled = roi.box_roi_pool(features, boxes, batch.image_sizes)
        told = [*scores, *deltas, *roi.box_predictor(roi.box_head(pooled))]
        return torch.cat([each.flatten() for each in told])

    def train(self, mode: bool = True) -> Detector:
        """As every module's, but that what is frozen stays in evaluation."""
        super().train(mode)
        for module in self._held:
            module.eval()
        return self

    def trunk_norms(self) -> dict[str, _BatchNorm]:
        """The BatchNorm layers of the backbone by name."""
        ours = set(self.trunk.values())
        named = ((name, m) for name, m in self.named_modules() if isinstance(m, _BatchNorm))
        return {name: m for name, m in named if f"{name}.weight" in ours}

    def hold(self, modules: Sequence[nn.Module]) -> None:
        """Keep these modules in evaluation from now on, and no others."""
        self._held = tuple(modules)
        self.train(self.training)


def losses(
    model: Detector, images: Sequence[Tensor], targets: Sequence[Target], *, seed: int
) -> dict[str, Tensor]:
    """The four `LOSSES` of a batch in evaluation mode: no statistics change, no gradients.

    Anchors and proposals are chosen as in training, where torchvision draws from torch's global
    generator: here from one seeded by `seed`, and the global one stays where it was. The model
    keeps its mode.
    """
    device = next(model.parameters()).device
    # Of these modules alone: of what is inside them, normalisation layers look at their mode.
    training = (model, model.transform, model.rpn, model.roi_heads)
    mode = model.training
    forked = torch.random.fork_rng([device] if device.type == "cuda" else [])
    with forked, torch.no_grad():
        torch.manual_seed(seed)
        model.eval()
        try:
            for module in training:
                module.training = True
            return cast(dict[str, Tensor], model(images, targets))
        finally:
            for module in training:
                module.training = False
            model.train(mode)


class _RPNHead(RPNHead):  # type: ignore[misc]
    def forward(self, x: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        scores, boxes = super().forward(x)
        return [each.float() for each in scores], [each.float() for each in boxes]


class _Predictor(FastRCNNPredictor):  # type: ignore[misc]
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores, boxes = super().forward(x)
        return scores.float(), boxes.float()


def _pool(strides: Sequence[int], settings: DetectorSettings) -> RoIPool:
    pool = RoIPool(
        [str(level) for level in range(len(strides))],
        settings.pool,
        settings.pool_samples,
        canonical_scale=settings.canonical_size,
    )
    pool.scales = [1 / stride for stride in strides]
    levels = [stride.bit_length() - 1 for stride in strides]
    pool.map_levels = initLevelMapper(
        levels[0], levels[-1], canonical_scale=settings.canonical_size
    )
    return pool


def _with_area(target: Target) -> Target:
    boxes = target["boxes"].reshape(-1, 4)
    kept = (boxes[:, 2:] - boxes[:, :2] >= _SMALLEST).all(dim=1)
    return {**target, "boxes": boxes[kept], "labels": target["labels"][kept]}


def _size(image: Tensor) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])
