"""The whole augmentation: draw one set of parameters a sample, apply them to the batch at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.classify.augment.boxes import DRAWS, crop_boxes, erase_boxes
from triptych.classify.augment.erasing import erase_
from triptych.classify.augment.geometry import resized_crop
from triptych.classify.augment.trivial import BINS, OPERATIONS, trivial_augment
from triptych.errors import UserError

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Augmentation:
    """What is done to training pictures, in this order. Raises UserError for impossible values."""

    size: int
    """Side of the square result, in pixels."""
    crop_area: float
    """Least share of the picture's area that a crop keeps; its aspect is 3:4 to 4:3."""
    flip: float = 0.5
    """Probability that left and right change places."""
    trivial: bool = True
    """Whether TrivialAugmentWide is applied."""
    erasing: float = 0.25
    """Probability that a box is erased (set to 0 after normalising): area 1/50 to 1/3."""
    mean: Triple = (0.5, 0.5, 0.5)
    std: Triple = (0.5, 0.5, 0.5)
    shared: bool = False
    """Draw one set of parameters for the whole batch, as torchvision's v1 transforms do when they
    are handed a batched tensor. A flaw to reproduce, not to use."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"augmentation size must be at least 1, not {self.size}")
        if not 0 < self.crop_area <= 1:
            raise UserError(f"crop area must lie above 0 and be at most 1, not {self.crop_area}")
        for name in ("flip", "erasing"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is a probability from 0 to 1, not {getattr(self, name)}")
        if min(self.std) <= 0:
            raise UserError(f"std must be positive, not {self.std}")


@dataclass(frozen=True)
class Parameters:
    """What was drawn for each of N samples; all on the CPU."""

    crops: Tensor
    """(N, 4) int64: top, left, height, width in the source."""
    flips: Tensor
    """(N,) bool."""
    operations: Tensor
    """(N,) int64, index of OPERATIONS."""
    bins: Tensor
    """(N,) int64, index of the magnitude."""
    negative: Tensor
    """(N,) bool, whether the magnitude's sign is turned, for operations that have one."""
    erased: Tensor
    """(N, 4) int64: top, left, height, width in the result; empty where nothing is erased."""


def draw(
    count: int, height: int, width: int, plan: Augmentation, generator: torch.Generator
) -> Parameters:
    """Parameters of `count` pictures of height × width from a CPU generator."""
    rows = min(count, 1) if plan.shared else count
    numbers = torch.rand((rows, 2 * DRAWS + 5), generator=generator, dtype=torch.float64)
    flip, operation, level, sign, erasing = numbers[:, 2 * DRAWS :].unbind(1)
    uniform = numbers.numpy()
    erased = erase_boxes(uniform[:, DRAWS : 2 * DRAWS], plan.size, plan.size)
    drawn = {
        "crops": crop_boxes(uniform[:, :DRAWS], height, width, plan.crop_area),
        "flips": flip < plan.flip,
        "operations": (operation * (len(OPERATIONS) if plan.trivial else 1)).long(),
        "bins": (level * BINS).long(),
        "negative": sign < 0.5,
        "erased": erased * (erasing < plan.erasing)[:, None],
    }
    return Parameters(**{name: part.expand(count, *part.shape[1:]) for name, part in drawn.items()})


def apply(images: Tensor, drawn: Parameters, plan: Augmentation) -> Tensor:
    """Images (N, 3, H, W) uint8 → (N, 3, size, size) float32, changed as `drawn`; on any device."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"augmentation takes uint8 (N, 3, H, W), not {images.dtype} {tuple(images.shape)}"
        )
    if not len(images):
        return torch.empty((0, 3, plan.size, plan.size), device=images.device)
    batch = resized_crop(images, drawn.crops, drawn.flips, plan.size)
    if plan.trivial:
        batch = trivial_augment(batch, drawn.operations, drawn.bins, drawn.negative)
    return erase_(normalise(batch, plan.mean, plan.std), drawn.erased)


def augment(images: Tensor, plan: Augmentation, generator: torch.Generator) -> Tensor:
    """Images (N, 3, H, W) uint8 on any device → a new batch (N, 3, size, size) float32.

    Random resized crop, flip, TrivialAugmentWide, normalising and RandomErasing, drawn for each
    sample (or once, if `plan.shared`) from the CPU `generator`, whatever the device or threads.
    """
    height, width = images.shape[-2:]
    return apply(images, draw(len(images), height, width, plan, generator), plan)


def normalise(images: Tensor, mean: Triple, std: Triple) -> Tensor:
    """Images (N, 3, H, W) uint8 → float32: (value / 255 - mean) / std by channel."""
    centre, spread = (torch.tensor(part).view(3, 1, 1).to(images.device) for part in (mean, std))
    return images.float().mul_(1 / (255 * spread)).sub_(centre / spread)
