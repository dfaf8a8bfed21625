"""A folder of label images as a model: another program's predictions, or the truth."""

from __future__ import annotations

import copy
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from triptych.data.class_record import CLASSES, read_classes
from triptych.data.classes import CAMVID, CITYSCAPES, VOID, ClassSet
from triptych.data.frames import FrameFiles
from triptych.data.labelled import LabelledData
from triptych.errors import UserError
from triptych.pictures import natural_order
from triptych.segment.labeller import FrameKey

_SINGLE_CHANNEL = ("L", "P", "1", "I;16", "I")


class LabelFolder:
    """A `Labeller` that reads what it answers: PNG files of class ids, 255 for void.

    The id after the last class is void too, as data sets often write it. A frame's file is the
    one with its name (path in the folder without the ending; where only one of the two has
    folders, or more of them, these do not count), else, where the folder has no sub-folders, the
    one at its position in natural order: all by name or all by position. The classes are those
    of `classes.json` in the folder, else Cityscapes'; `for_data` knows more.
    """

    def __init__(self, folder: Path, classes: ClassSet | None = None) -> None:
        self.name = folder.resolve().name
        self.concurrency = os.cpu_count() or 1
        found = (path for path in folder.rglob("*.[pP][nN][gG]") if path.is_file())
        self._files = sorted(found, key=lambda path: (natural_order(path), str(path)))
        if not self._files:
            raise UserError(f"{folder} holds no label images (PNG files of class ids)")
        self._folder = folder
        self._flat = all(path.parent == folder for path in self._files)
        self._by_name = {
            path.relative_to(folder).with_suffix("").as_posix(): path for path in self._files
        }
        self._by_stem: dict[str, list[str]] = {}
        for name in self._by_name:
            self._by_stem.setdefault(_stem(name), []).append(name)
        if classes is None and (folder / CLASSES).exists():
            classes = read_classes(folder)
        self._told = classes is not None
        self.classes = classes or CITYSCAPES
        self._chosen: Mapping[str, Path] | None = None
        self._named = False
        self._placed: FrameKey | None = None

    def for_data(self, data: LabelledData, guess_classes: bool = True) -> LabelFolder:
        """The same label images as those of the frames of `data`, by their whole keys.

        What is checked before anything is scored: every frame has a file of its own by name, or
        none has and there are as many files as frames, which are then taken in natural order.
        Without `classes.json` the ids are the data's classes where all of them may be. Where ids
        lie beyond those and their void, and all are Cityscapes', they are Cityscapes' classes if
        the data is CamVid's, to which they are mapped; with `guess_classes` false they always
        are. Raises UserError naming the frame that lacks a file or the id that is no class, and
        where what the ids mean would be a guess.
        """
        bound = copy.copy(self)
        bound._chosen = self._files_of(data.keys)
        if guess_classes and not self._told:
            bound.classes = self._classes_on(data, bound._chosen.values())
        return bound

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
        labels = _values(path).astype(np.int64)
        labels[labels == len(self.classes)] = VOID
        wrong = (labels < 0) | ((labels >= len(self.classes)) & (labels != VOID))
        if wrong.any():
            raise UserError(
                f"{path}: id {labels[wrong][0]} is no class of {self.classes.name}"
                f"{'' if self._told else f'; {self._remedy()}'}"
            )
        if labels.shape not in (picture, size):
            raise UserError(
                f"{path}: {labels.shape[1]}x{labels.shape[0]}, "
                f"but the frame is {picture[1]}x{picture[0]}"
            )
        found = Image.fromarray(labels.astype(np.uint8))
        return np.asarray(found.resize(size[::-1], Image.Resampling.NEAREST))

    def _path(self, key: FrameKey) -> Path:
        """The file of one frame, all by name or all by position.

        Without `for_data` the frames are not known beforehand, so that the first that contradicts
        the others is refused.
        """
        if self._chosen is not None:
            return self._chosen[key.stem]
        name = self._match(key.stem)
        if name is not None:
            self._named = True
        elif self._flat and key.index < len(self._files):
            self._placed = key
        else:
            raise self._missing(key.index, key.stem, f", there are {len(self._files)}")
        if self._named and self._placed is not None:
            others = "while other frames have one of their name"
            raise self._missing(self._placed.index, self._placed.stem, f", {others}")
        return self._files[key.index] if name is None else self._by_name[name]

    def _match(self, key: str) -> str | None:
        """The one file that has a frame's name, None where there is none or more than one."""
        if key in self._by_name:
            return key
        near = [name for name in self._by_stem.get(_stem(key), ()) if _agree(name, key)]
        return near[0] if len(near) == 1 else None

    def _files_of(self, keys: Sequence[str]) -> dict[str, Path]:
        """A file for each of the frames, see `for_data`."""
        named = {key: name for key in keys if (name := self._match(key)) is not None}
        times = Counter(named.values())
        found = {
            key: self._by_name[name]
            for key, name in named.items()
            if name == key or times[name] == 1
        }
        if len(found) == len(keys):
            return found
        if not named and self._flat and len(self._files) == len(keys):
            return dict(zip(sorted(keys, key=_in_order), self._files, strict=True))
        index = next(index for index, key in enumerate(keys) if key not in found)
        raise self._missing(index, keys[index], self._why(keys[index], named, len(keys)))

    def _why(self, key: str, named: Mapping[str, str], frames: int) -> str:
        """Why a frame has no file, as the end of a sentence."""
        if key in named:
            return f": {named[key]}.png may be that of another frame too"
        if len(self._by_stem.get(_stem(key), ())) > 1:
            return f": there are {len(self._by_stem[_stem(key)])} files {_stem(key)}.png"
        if named:
            return f", but {len(named)} of {frames} frames have one of their name"
        flat = "" if self._flat else " in sub-folders"
        return (
            f": none has a frame's name, and {len(self._files)} files{flat} cannot be taken in "
            f"order for {frames} frames"
        )

    def _missing(self, index: int, key: str, why: str) -> UserError:
        return UserError(f"{self._folder}: no label image for frame {index} ({key}){why}")

    def _classes_on(self, data: LabelledData, files: Iterable[Path]) -> ClassSet:
        """What the ids of `files` most plainly mean, see `for_data`."""
        classes = data.classes
        if classes.names == CITYSCAPES.names:
            return classes
        ids = self._ids(files)
        if all(value <= len(classes) for value in ids):
            if isinstance(data, FrameFiles) and _renumbers(data):
                raise UserError(
                    f"{self._folder}: the data numbers its classes otherwise than from 0 without "
                    f"gaps, so what these ids mean is unclear; {self._remedy()}"
                )
            return classes
        highest = max(ids)
        # One beyond the data's void may be the void of a set with one class more.
        clear = len(classes) + 1 < highest <= len(CITYSCAPES)
        if classes.names == CAMVID.names and clear:
            return CITYSCAPES
        raise UserError(
            f"{ids[highest]}: id {highest} is no class of the data ({data.name}: {classes.name}, "
            f"0 to {len(classes) - 1}); {self._remedy()}"
        )

    def _ids(self, files: Iterable[Path]) -> dict[int, Path]:
        """The ids that occur, without 255, each with a file that has it."""
        files = list(files)
        found: dict[int, Path] = {}
        with ThreadPoolExecutor(self.concurrency) as pool:
            for path, ids in zip(files, pool.map(_occurring, files), strict=True):
                for value in ids - {VOID}:
                    found.setdefault(value, path)
        return found

    def _remedy(self) -> str:
        return f"name the classes of the ids in {self._folder / CLASSES}"


def _values(path: Path) -> NDArray[Any]:
    """What a label image holds (H, W). Raises UserError where it is broken or in colour."""
    try:
        with Image.open(path) as image:
            if image.mode not in _SINGLE_CHANNEL:
                raise UserError(
                    f"{path}: colour-coded ({image.mode}); labels must be single-channel ids"
                )
            return np.asarray(image)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: cannot be read as a label image ({error})") from None
    except Image.DecompressionBombError:
        raise UserError(f"{path}: claims more pixels than a frame can have") from None


def _occurring(path: Path) -> set[int]:
    values = _values(path)
    if values.itemsize == 1:  # many times faster than sorting
        return set(np.flatnonzero(np.bincount(values.ravel())).tolist())
    return set(np.unique(values).tolist())


def _stem(name: str) -> str:
    return name.rpartition("/")[2]


def _agree(name: str, key: str) -> bool:
    """Whether two paths are the same from their ends on, as far as the shorter one goes."""
    return f"/{name}".endswith(f"/{key}") or f"/{key}".endswith(f"/{name}")


def _in_order(key: str) -> list[list[tuple[int, int | str]]]:
    """Sort key of frames: folder by folder, in natural order."""
    return [natural_order(Path(part)) for part in key.split("/")]


def _renumbers(data: FrameFiles) -> bool:
    """Whether the data's own label files hold other numbers than those of its classes."""
    ids = data.code.ids
    return bool(ids) and any(ids.get(number) != number for number in range(len(data.classes)))
