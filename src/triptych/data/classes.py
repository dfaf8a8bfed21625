"""Class sets of driving data: names, colours, and the mapping from one set to another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VOID = 255
"""Label of pixels that are neither trained on nor scored, in every label map of the project."""


@dataclass(frozen=True)
class ClassSet:
    """Classes in id order with their display colours (RGB, 0 to 255)."""

    name: str
    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]

    def __len__(self) -> int:
        return len(self.names)

    def palette(self) -> NDArray[np.uint8]:
        """Colours by label id, shape (256, 3); ids without a class, void included, are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self.colours)] = self.colours
        return table


CITYSCAPES = ClassSet(
    "cityscapes19",
    (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign",
        "vegetation", "terrain", "sky", "person", "rider", "car", "truck", "bus", "train",
        "motorcycle", "bicycle",
    ),
    (
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153),
        (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152),
        (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100),
        (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
)  # fmt: skip
"""The 19 classes of Cityscapes by train id (Cordts 2016), in the colours of its devkit."""

CAMVID = ClassSet(
    "camvid11",
    (
        "Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car",
        "Pedestrian", "Bicyclist",
    ),
    (
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (0, 0, 192),
        (128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
    ),
)  # fmt: skip
"""The 11 classes of CamVid in the order of SegNet's label files (Brostow 2009)."""
