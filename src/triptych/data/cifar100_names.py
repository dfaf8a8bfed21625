"""What every form of CIFAR-100 has in common: picture size and the fine classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from triptych.errors import UserError

SIDE = 32

CLASSES: tuple[str, ...] = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle",
    "bottle", "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle",
    "caterpillar", "cattle", "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch",
    "crab", "crocodile", "cup", "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox",
    "girl", "hamster", "house", "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion",
    "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain", "mouse", "mushroom",
    "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road",
    "rocket", "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake",
    "spider", "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank",
    "telephone", "television", "tiger", "tractor", "train", "trout", "tulip", "turtle",
    "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip
"""The fine classes in the order of their labels, which is the alphabet's."""


def check_names(names: object, name: str) -> tuple[str, ...]:
    """Class names of a file, one per label. Raises UserError with the file's name."""
    if (
        not isinstance(names, list)
        or not all(isinstance(each, str) and each for each in names)
        or len(set(names)) != len(names)
        or len(names) != len(CLASSES)
    ):
        raise UserError(f"{name}: must hold {len(CLASSES)} different class names, one per label")
    return tuple(names)


def check_labels(labels: NDArray[np.int64], name: str) -> None:
    """Raises UserError with the file's name and the first row whose label is no class."""
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"{name}: row {row} has label {labels[row]}, but labels are 0 to {len(CLASSES) - 1}"
        )
