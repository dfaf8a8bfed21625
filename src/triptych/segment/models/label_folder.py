"""A folder of label images as a model: another program's predictions, or the truth."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from triptych.data.class_record import CLASSES, read_classes
from triptych.data.classes import CITYSCAPES, VOID, ClassSet
from triptych.errors import UserError
from triptych.pictures import natural_order
from triptych.segment.labeller import FrameKey

_SINGLE_CHANNEL = ("L", "P", "1", "I;16", "I")


class LabelFolder:
    """A `Labeller` that reads what it answers: PNG files of class ids, 255 for void.

    The id after the last class is void too, as data sets often write it. A frame's file is the
    one with its name (path in the folder without the ending), else, where the folder has no
    sub-folders, the one at its position in natural order. The classes are those of
    `classes.json` in the folder, else Cityscapes'.
    """

    def __init__(self, folder: Path, classes: ClassSet | None = None) -> None:
        self.name = folder.resolve().name
        self.classes = classes or _classes(folder)
        self.concurrency = os.cpu_count() or 1
        found = (path for path in folder.rglob("*.[pP][nN][gG]") if path.is_file())
        self._files = sorted(found, key=lambda path: (natural_order(path), str(path)))
        if not self._files:
            raise UserError(f"{folder} holds no label images (PNG files of class ids)")
        self._folder = folder
        self._by_name = {
            path.relative_to(folder).with_suffix("").as_posix(): path for path in self._files
        }

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        """Label maps (N, H, W) of the frames `keys`; of `images` only the size matters.

        Labels have the pictures' size, or `size`; the former are resized to the latter (nearest).
        Raises UserError naming a file that is missing, broken, colour-coded, of another size, or
        with an id that is no class.
        """
        height, width = images.shape[1], images.shape[2]
        return np.stack([self._read(key, (height, width), size or (height, width)) for key in keys])

    def _read(
        self, key: FrameKey, picture: tuple[int, int], size: tuple[int, int]
    ) -> NDArray[np.uint8]:
        path = self._path(key)
        try:
            with Image.open(path) as image:
                if image.mode not in _SINGLE_CHANNEL:
                    raise UserError(
                        f"{path}: colour-coded ({image.mode}); labels must be single-channel ids"
                    )
                labels = np.asarray(image).astype(np.int64)
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
            raise UserError(f"{path}: cannot be read as a label image ({error})") from None
        except Image.DecompressionBombError:
            raise UserError(f"{path}: claims more pixels than a frame can have") from None
        labels[labels == len(self.classes)] = VOID
        wrong = (labels < 0) | ((labels >= len(self.classes)) & (labels != VOID))
        if wrong.any():
            raise UserError(f"{path}: id {labels[wrong][0]} is no class of {self.classes.name}")
        if labels.shape not in (picture, size):
            raise UserError(
                f"{path}: {labels.shape[1]}x{labels.shape[0]}, "
                f"but the frame is {picture[1]}x{picture[0]}"
            )
        found = Image.fromarray(labels.astype(np.uint8))
        return np.asarray(found.resize(size[::-1], Image.Resampling.NEAREST))

    def _path(self, key: FrameKey) -> Path:
        for name in (key.stem, key.stem.rpartition("/")[2]):
            if name in self._by_name:
                return self._by_name[name]
        flat = all(path.parent == self._folder for path in self._files)
        if flat and key.index < len(self._files):
            return self._files[key.index]
        raise UserError(
            f"{self._folder}: no label image for frame {key.index} ({key.stem}), "
            f"there are {len(self._files)}"
        )


def _classes(folder: Path) -> ClassSet:
    if not (folder / CLASSES).exists():
        return CITYSCAPES
    return read_classes(folder)
