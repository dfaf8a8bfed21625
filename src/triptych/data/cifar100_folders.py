"""CIFAR-100 as pictures in a folder a class: train/apple/0001.png and so on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from triptych.data.cifar100_names import CLASSES, SIDE
from triptych.data.class_folders import content_digest, list_classes
from triptych.data.image_reading import read_rgb
from triptych.data.labelled_images import LabelledImages
from triptych.errors import UserError
from triptych.progress import bar


@dataclass(frozen=True)
class Folders:
    """The class folders of one official split."""

    path: Path
    split: str

    @cached_property
    def files(self) -> dict[str, list[Path]]:
        """Raises UserError for a class that is none of CIFAR-100's."""
        found = list_classes(self.path)
        for name in found:
            if name not in CLASSES:
                raise UserError(
                    f"{self.path / name}: no class of CIFAR-100; "
                    f"classes of one's own are read by folder:DIR"
                )
        return found

    def digest(self) -> str:
        return f"{self.split} {content_digest(self.files, self.path)}"

    def read(self) -> LabelledImages:
        """Raises UserError naming a file that is broken or has another size."""
        files = [(name, path) for name, paths in self.files.items() for path in paths]
        pixels = np.empty((len(files), 3, SIDE, SIDE), np.uint8)
        with bar(str(self.path), len(files), unit="pictures") as progress:
            for index, (_, path) in enumerate(files):
                picture = read_rgb(path, str(path))
                if picture.shape != (SIDE, SIDE, 3):
                    high, wide = picture.shape[:2]
                    raise UserError(
                        f"{path}: {wide}x{high}, but pictures of CIFAR-100 are {SIDE}x{SIDE}"
                    )
                pixels[index] = picture.transpose(2, 0, 1)
                progress.advance()
        labels = np.array([CLASSES.index(name) for name, _ in files], np.int64)
        keys = tuple(path.relative_to(self.path).as_posix() for _, path in files)
        return LabelledImages("cifar100", self.split, pixels, labels, CLASSES, keys)


def find(root: Path, split: str) -> Folders | None:
    """The class folders of a split in `root`."""
    return Folders(root / split, split) if (root / split).is_dir() else None
