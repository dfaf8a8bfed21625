"""A small data set in CamVid's layout, for whatever trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HEIGHT, WIDTH = 48, 64
VOID = 11
"""In the label files."""

WriteDrives = Callable[[Path, Mapping[str, Mapping[str, int]]], Path]


@pytest.fixture(scope="session")
def write_drives() -> WriteDrives:
    """A function that writes CamVid into a folder, given the frames of each drive by split.

    No two frames are alike; a picture's colour says the label, from 0 to 10 and void.
    """

    def write(folder: Path, splits: Mapping[str, Mapping[str, int]]) -> Path:
        keys = [(s, d) for s, drives in splits.items() for d, n in drives.items() for _ in range(n)]
        for seed, (split, drive) in enumerate(keys):
            rng = np.random.default_rng(seed)
            label = rng.integers(0, VOID + 1, (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
            label = label.repeat(8, 0).repeat(8, 1)
            image = np.stack([label * 20, 255 - label * 20, label * 7], 2)
            image = (image + rng.integers(0, 9, image.shape)).clip(0, 255).astype(np.uint8)
            for place, pixels in ((split, image), (f"{split}annot", label)):
                (folder / place).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / place / f"{drive}_f{seed:05d}.png")
        return folder

    return write
