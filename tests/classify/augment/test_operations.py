"""Every operation, for given parameters, against torchvision's functional on uint8 tensors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, functional
from torchvision.transforms.autoaugment import TrivialAugmentWide, _apply_op

from triptych.classify.augment import BINS, MAGNITUDES, OPERATIONS, SIGNED, trivial_augment
from triptych.classify.augment.erasing import erase_
from triptych.classify.augment.geometry import resized_crop

SIZES = [(32, 32), (33, 47), (64, 64), (96, 96)]
SPACE = TrivialAugmentWide()._augmentation_space(BINS)


def pictures(count: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Smooth, noisy, dim and flat pictures in turn, so that histograms differ."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, 256, (count, 3, height, width), generator=generator)
    coarse = torch.rand((count, 3, 5, 5), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic") * 255
    out = noise.float()
    out[0::4] = smooth[0::4]
    out[2::4] = 90 + out[2::4] / 9
    out[3::4] = coarse[3::4, :, :1, :1] * 255
    out[3::8, 1, : height // 2] += 3
    return out.clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_equals_torchvision(name: str, size: tuple[int, int]) -> None:
    """All magnitudes and signs at once, in one mixed batch, to the byte."""
    index = OPERATIONS.index(name)
    bins = torch.arange(BINS).repeat(2)
    negative = torch.arange(2).repeat_interleave(BINS).bool()
    images = pictures(len(bins), *size)
    others = torch.randperm(len(OPERATIONS), generator=torch.Generator().manual_seed(1))
    # Neighbours with other operations: samples must not get each other's.
    both = torch.cat((images, images[: len(others)]))
    ours = trivial_augment(
        both,
        torch.cat((torch.full_like(bins, index), others)),
        torch.cat((bins, torch.full_like(others, 7))),
        torch.cat((negative, torch.zeros_like(others).bool())),
    )
    magnitudes, signed = SPACE[name]
    for image, result, level, minus in zip(images, ours, bins, negative, strict=False):
        magnitude = float(magnitudes[level]) if magnitudes.ndim else 0.0
        magnitude *= -1 if signed and minus else 1
        expected = _apply_op(image, name, magnitude, InterpolationMode.NEAREST, None)
        assert torch.equal(result, expected), (name, magnitude)


def test_space_is_torchvisions() -> None:
    assert list(OPERATIONS) == list(SPACE)
    for index, (magnitudes, signed) in enumerate(SPACE.values()):
        assert torch.equal(MAGNITUDES[index], magnitudes.double().expand(BINS))
        assert bool(SIGNED[index]) == signed


def test_pictures_too_small_to_sharpen() -> None:
    images = pictures(4, 2, 9)
    sharp = torch.full((4,), OPERATIONS.index("Sharpness"))
    assert torch.equal(trivial_augment(images, sharp, sharp, sharp < 0), images)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [32, 48])
def test_crop_and_flip(size: tuple[int, int], side: int) -> None:
    height, width = size
    images = pictures(60, height, width)
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand((60, 4), generator=generator)
    tall = 1 + (corners[:, 0] * height).long()
    wide = 1 + (corners[:, 1] * width).long()
    top = (corners[:, 2] * (height - tall + 1)).long()
    left = (corners[:, 3] * (width - wide + 1)).long()
    boxes = torch.stack((top, left, tall, wide), 1)
    boxes[:2] = torch.tensor([0, 0, height, width])
    flips = torch.arange(60) % 2 == 1
    ours = resized_crop(images, boxes, flips, side)
    theirs = torch.stack(
        [
            functional.resized_crop(image, *box.tolist(), [side, side], antialias=True)
            for image, box in zip(images, boxes, strict=True)
        ]
    )
    theirs[1::2] = theirs[1::2].flip(3)
    difference = (ours.int() - theirs.int()).abs()
    assert difference.max() <= 1
    assert (difference > 0).double().mean() <= 1e-3


def test_whole_picture_at_its_size_is_unchanged() -> None:
    images = pictures(8, 32, 32)
    whole = torch.tensor([0, 0, 32, 32]).expand(8, 4)
    assert torch.equal(resized_crop(images, whole, torch.zeros(8).bool(), 32), images)
    flipped = resized_crop(images, whole, torch.ones(8).bool(), 32)
    assert torch.equal(flipped, functional.hflip(images))


def test_shrinking_averages() -> None:
    """By hand: a triangle 4 pixels wide over a step 0, 0, 240, 240 → weights 1, 3, 3, 1."""
    row = torch.tensor([0, 0, 240, 240], dtype=torch.uint8)
    image = row.expand(1, 3, 4, 4)
    small = resized_crop(image, torch.tensor([[0, 0, 4, 4]]), torch.tensor([False]), 2)
    # Left target: sources at distance .5, .5, 1.5 (of 2): weights .75, .75, .25 over 1.75.
    assert small[0, 0, 0].tolist() == [round(240 * 0.25 / 1.75), round(240 * 1.5 / 1.75)]


@pytest.mark.parametrize("size", SIZES)
def test_erase(size: tuple[int, int]) -> None:
    height, width = size
    images = torch.randn((5, 3, height, width), generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor(
        [[0, 0, 0, 0], [3, 4, 5, 6], [0, 0, height - 1, width - 1], [7, 7, 0, 9], [31, 31, 1, 1]]
    )
    expected = torch.stack(
        [
            functional.erase(image, *box.tolist(), torch.zeros(3, 1, 1))
            for image, box in zip(images, boxes, strict=True)
        ]
    )
    assert torch.equal(erase_(images.clone(), boxes), expected)


def test_rotation_by_quarter_turn_by_hand() -> None:
    """90° are bin 20; positive is counter-clockwise."""
    images = pictures(2, 32, 32)
    rotate = torch.full((2,), OPERATIONS.index("Rotate"))
    bins = torch.full((2,), 20)
    assert math.isclose(float(MAGNITUDES[5, 20]), 90, rel_tol=1e-6)
    ours = trivial_augment(images, rotate, bins, torch.tensor([False, True]))
    assert torch.equal(ours[0], images[0].rot90(1, (1, 2)))
    assert torch.equal(ours[1], images[1].rot90(-1, (1, 2)))
