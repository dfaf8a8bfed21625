"""RoIAlign (He 2017, Mask R-CNN, section 3) over the maps of a pyramid, fast on a processor.

torchvision's kernel for processors reads the maps value by value. But each cell of each RoI is a
weighted sum of the map at 16 places (2 x 2 points, each between 4 places), with all channels of a
place side by side where the map is channels_last: a sum of rows of a table, which is what
`embedding_bag` computes, in both directions, by whole rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torchvision
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import MultiScaleRoIAlign


class RoIPool(MultiScaleRoIAlign):  # type: ignore[misc]
    """torchvision's `MultiScaleRoIAlign`, which it is on other devices and when it is exported.

    `scales` and `map_levels` must have been set. The same but for rounding.
    """

    def forward(
        self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> Tensor:
        """Maps (N, C, H, W) by name and boxes (M, 4) of each picture → (sum of M, C, P, P)."""
        maps = [x[name] for name in self.featmap_names]
        if (
            maps[0].device.type != "cpu"
            or torchvision._is_tracing()
            or torch.compiler.is_compiling()
        ):
            pooled: Tensor = super().forward(x, boxes, image_shapes)
            return pooled
        every = torch.cat(boxes)
        image = torch.repeat_interleave(torch.tensor([len(each) for each in boxes]))
        level = self.map_levels(boxes) if len(maps) > 1 else torch.zeros_like(image)
        rows, weights = places(
            every, image, level, [each.shape[-2:] for each in maps], len(maps[0]),
            self.scales, self.output_size[0], self.sampling_ratio,
        )  # fmt: skip
        table = rows_of(maps).float()
        found = F.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
        height, width = self.output_size
        return found.view(len(every), height, width, table.shape[1]).permute(0, 3, 1, 2)


def rows_of(maps: Sequence[Tensor]) -> Tensor:
    """Maps (N, C, H, W) of several sizes as one table (sum of N·H·W, C), map after map."""
    return torch.cat([each.permute(0, 2, 3, 1).flatten(0, 2) for each in maps])


def first_rows(sizes: Sequence[Sequence[int]], images: int) -> Tensor:
    """Where each map begins in `rows_of`, from their heights and widths."""
    counts = torch.tensor([0, *(images * height * width for height, width in sizes[:-1])])
    return counts.cumsum(0)


@torch.no_grad()
def places(
    boxes: Tensor,
    image: Tensor,
    level: Tensor,
    sizes: Sequence[Sequence[int]],
    images: int,
    scales: Sequence[float],
    pool: int,
    points: int,
) -> tuple[Tensor, Tensor]:
    """Which rows of the table make up the cells of RoIs, and with what weights.

    `boxes` (R, 4) in pixels, the `image` and the `level` (R,) of each; `sizes` (H, W) of the maps,
    their `scales`. Returns both (R · pool², (2 · points)²), a RoI's cells line by line.
    """
    heights, widths = torch.tensor([list(each) for each in sizes]).unbind(1)
    scale = torch.tensor(scales, dtype=boxes.dtype)[level]
    left, top, right, bottom = (boxes * scale[:, None]).unbind(1)
    y, y_weight = _axis(top, bottom, heights[level], pool, points)
    x, x_weight = _axis(left, right, widths[level], pool, points)
    start = first_rows(sizes, images)[level] + image * (heights * widths)[level]
    lines = start[:, None, None] + y * widths[level][:, None, None]
    rows = lines[:, :, None, :, None] + x[:, None, :, None, :]
    weights = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
    shape = len(boxes) * pool**2, (2 * points) ** 2
    return rows.reshape(shape), weights.reshape(shape)


def _axis(
    start: Tensor, end: Tensor, length: Tensor, pool: int, points: int
) -> tuple[Tensor, Tensor]:
    """Along one axis: neighbours of the points of each cell and their weights, (R, pool, 2·points).

    As torchvision's `roi_align` with aligned=False: a RoI is at least one cell of the map wide, and
    a point more than one outside it counts as 0.
    """
    cell = (end - start).clamp(min=1.0) / pool
    cell = cell[:, None, None]
    # In torchvision's order of operations, so that the same points fall outside.
    position = start[:, None, None] + torch.arange(pool)[:, None] * cell
    position = position + (torch.arange(points) + 0.5) * cell / points
    limit = length[:, None, None]
    inside = (position >= -1) & (position <= limit)
    position = position.clamp(min=0)
    lower = position.long().clamp(max=limit - 1)
    upper = (lower + 1).clamp(max=limit - 1)
    share = torch.where(lower >= limit - 1, 0.0, position - lower)
    weights = torch.stack([1 - share, share], dim=-1) * inside[..., None] / points
    return torch.stack([lower, upper], dim=-1).flatten(2), weights.flatten(2)
