"""The RPN (Ren 2015), trained on a processor at the places that its loss looks at, and no others.

Its loss is over 256 anchors of a picture, and its proposals have no gradient. So what it says
everywhere is computed without one, and again with one at the places of those anchors: the same
loss and the same gradient but for rounding, at a third of what the largest convolution of the
detector costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork, concat_box_prediction_layers

from triptych.detect.models.roi_pool import first_rows, rows_of


class SparseRPN(RegionProposalNetwork):  # type: ignore[misc]
    """torchvision's `RegionProposalNetwork`, which it is on other devices and without gradients.

    Its head must have one convolution of 3x3, as torchvision's has by default.
    """

    @classmethod
    def like(cls, rpn: RegionProposalNetwork) -> Self:
        """The same network with the same parts."""
        new = cls.__new__(cls)
        new.__dict__.update(rpn.__dict__)
        return new

    def forward(
        self,
        images: ImageList,
        features: dict[str, Tensor],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """As torchvision's: proposals of each picture, and the two losses in training."""
        maps = list(features.values())
        sparse = self.training and torch.is_grad_enabled() and maps[0].device.type == "cpu"
        if targets is None or not sparse:
            proposed: tuple[list[Tensor], dict[str, Tensor]]
            proposed = super().forward(images, features, targets)
            return proposed
        with torch.no_grad():
            scores, deltas = self.head(maps)
            anchors = self.anchor_generator(images, maps)
            counts = [int(each[0].numel()) for each in scores]
            flat_scores, flat_deltas = concat_box_prediction_layers(scores, deltas)
            decoded = self.box_coder.decode(flat_deltas, anchors).view(len(anchors), -1, 4)
            boxes, _ = self.filter_proposals(decoded, flat_scores, images.image_sizes, counts)
            labels, matched = self.assign_targets_to_anchors(anchors, targets)
            wanted = torch.cat(self.box_coder.encode(matched, anchors))
            positive, negative = (
                torch.where(torch.cat(each))[0] for each in self.fg_bg_sampler(labels)
            )
            chosen = torch.cat([positive, negative])
            truth = torch.cat(labels)[chosen]
        said, moved = said_of(cast(Any, self.head), maps, chosen)
        loss = F.binary_cross_entropy_with_logits(said, truth)
        off = F.smooth_l1_loss(
            moved[: len(positive)], wanted[positive], beta=1 / 9, reduction="sum"
        )
        return boxes, {
            "loss_objectness": loss,
            "loss_rpn_box_reg": off / chosen.numel(),
        }


def said_of(head: Any, maps: Sequence[Tensor], anchors: Tensor) -> tuple[Tensor, Tensor]:
    """The score (M,) and the offsets (M, 4) that an RPN's head gives to some anchors, in float32.

    `anchors` (M,) are counted as `concat_box_prediction_layers` lines them up: by picture, map,
    line, column, and anchor of the place.
    """
    each = head.cls_logits.out_channels
    sizes = [tuple(level.shape[-2:]) for level in maps]
    heights, widths = torch.tensor(sizes).unbind(1)
    ends = (heights * widths * each).cumsum(0)
    image, inside = anchors // ends[-1], anchors % ends[-1]
    level = torch.searchsorted(ends, inside, right=True)
    inside = inside - (ends - heights * widths * each)[level]
    place, anchor = inside // each, inside % each
    height, width = heights[level], widths[level]
    # Line and column of the 3x3 places around each.
    step = torch.arange(-1, 2)
    y = (place // width)[:, None, None] + step[:, None]
    x = (place % width)[:, None, None] + step
    within = (y >= 0) & (y < height[:, None, None]) & (x >= 0) & (x < width[:, None, None])
    start = first_rows(sizes, len(maps[0]))[level] + image * height * width
    rows = start[:, None, None] + y * width[:, None, None] + x
    around = F.embedding(rows * within, rows_of(maps)) * within[..., None]
    convolution = head.conv[0][0]
    kernel = convolution.weight.permute(0, 2, 3, 1).flatten(1)
    hidden = F.relu(F.linear(around.flatten(1), kernel, convolution.bias))
    scores, offsets = (
        F.linear(hidden, layer.weight.flatten(1), layer.bias).float()
        for layer in (head.cls_logits, head.bbox_pred)
    )
    which = torch.arange(len(anchors))
    return scores[which, anchor], offsets.view(-1, each, 4)[which, anchor]
