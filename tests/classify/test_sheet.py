"""The sheet of augmentations: a picture whose tiles can be found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from triptych.classify.augment import OPERATIONS, trivial_augment
from triptych.classify.sheet import augmentation_sheet


def pictures(count: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    coarse = torch.rand((count, 3, 4, 4), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (smooth * 255).clamp(0, 255).to(torch.uint8)


def read(path: Path) -> np.ndarray:
    with Pillow.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB"))


def contains(sheet: np.ndarray, tile: np.ndarray) -> bool:
    """Whether the tile lies somewhere on the sheet, to the byte."""
    height, width = tile.shape[:2]
    inside = sheet[: sheet.shape[0] - height + 1, : sheet.shape[1] - width + 1]
    corners = np.argwhere((inside == tile[0, 0]).all(-1))
    return any(np.array_equal(sheet[y : y + height, x : x + width], tile) for y, x in corners)


def test_shows_the_original_and_every_operation(tmp_path: Path) -> None:
    images = pictures(4, 32, 32)
    out = tmp_path / "new" / "sheet.png"
    augmentation_sheet(images, out, seed=0)
    sheet = read(out)
    every = torch.arange(len(OPERATIONS))
    changed = trivial_augment(
        images[:1].expand(len(every), -1, -1, -1),
        every,
        torch.full_like(every, 20),
        torch.ones_like(every).bool(),
    )
    for name, tile in zip(OPERATIONS, changed.permute(0, 2, 3, 1).numpy(), strict=True):
        assert contains(sheet, tile.repeat(3, 0).repeat(3, 1)), name


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    images = pictures(3, 16, 16)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        augmentation_sheet(images, tmp_path / name, seed)
    first, second, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert first == second
    assert first != other


@pytest.mark.parametrize(("count", "height", "width"), [(1, 32, 32), (2, 33, 47), (2, 200, 150)])
def test_any_size(tmp_path: Path, count: int, height: int, width: int) -> None:
    augmentation_sheet(pictures(count, height, width), tmp_path / "sheet.png", seed=0)
    assert read(tmp_path / "sheet.png").std() > 10
