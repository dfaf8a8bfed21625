"""A classification data set of one's own: pictures of any size in a folder a class.

    DIR/train/CLASS/*  DIR/val/CLASS/*  DIR/test/CLASS/*     as they are
    DIR/train/CLASS/*  and one of the two                    the other is drawn from train
    DIR/CLASS/*                                              both are drawn

A split that must be drawn gets a tenth of every class, at least one picture, by seed.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from triptych.data.class_folders import check_same_classes, list_classes, visible
from triptych.data.held_out import default_count, hold_out
from triptych.data.image_reading import read_rgb, upright_size
from triptych.data.labelled_images import LabelledImages
from triptych.errors import UserError
from triptych.progress import bar

SPLITS = ("train", "val", "test")
_LEAST_SIZE, _MOST_SIZE = 8, 2048
_MEMORY_SHARE = 0.5
"""Part of this machine's memory that the pictures of a data set may take."""


def image_folder(
    root: Path,
    split: str,
    *,
    size: int | None = None,
    val_images: int | None = None,
    split_seed: int = 0,
) -> LabelledImages:
    """One split, `train`, `val` or `test`, of a folder in the layout of this module's docstring.

    Classes are numbered in the order of their names. Pictures of one size keep it; with `size`,
    shorter sides are scaled to it and the centre is cut out. `val_images` is the number of pictures
    where validation is drawn. Raises UserError for a broken picture, sizes that differ, classes
    that differ between splits or are empty, and fewer than two classes.
    """
    if size is not None and not _LEAST_SIZE <= size <= _MOST_SIZE:
        raise UserError(f"{root}: size must be {_LEAST_SIZE} to {_MOST_SIZE}, not {size}")
    splits, classes = _list(root)
    _draw(splits, classes, root, val_images, split_seed)
    everything = [path for files in splits.values() for path, _ in files]
    high, wide = (size, size) if size is not None else _common_size(everything)
    _check_memory(root, 3 * high * wide * len(everything))
    files = splits[split]
    pixels = np.empty((len(files), 3, high, wide), np.uint8)

    def load(index: int) -> None:
        path = files[index][0]
        pixels[index] = read_rgb(path, str(path), size).transpose(2, 0, 1)

    with ThreadPoolExecutor() as pool, bar(f"{root} {split}", len(files), unit="pictures") as shown:
        for _ in pool.map(load, range(len(files))):
            shown.advance()
    labels = np.array([label for _, label in files], np.int64)
    keys = tuple(path.relative_to(root).as_posix() for path, _ in files)
    return LabelledImages("folder", split, pixels, labels, classes, keys)


Listed = dict[str, list[tuple[Path, int]]]
"""The pictures of every split with their labels."""


def _list(root: Path) -> tuple[Listed, tuple[str, ...]]:
    """The splits that lie in the folder, `train` among them, and the classes."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    there = {split: root / split for split in SPLITS if (root / split).is_dir()}
    others = [path for path in visible(root) if path.is_dir() and path.name not in SPLITS]
    if any(path.is_dir() for place in there.values() for path in visible(place)):
        if "train" not in there:
            raise UserError(f"{root}: has {', '.join(there)} but no train")
        if others:
            raise UserError(f"{others[0]}: none of {', '.join(SPLITS)}; rename it or move it away")
    elif there and not others:
        raise UserError(f"{root / next(iter(there))}: needs a sub-folder for each class")
    else:  # a class may be called train
        there = {"train": root}
    found = {split: list_classes(place) for split, place in there.items()}
    check_same_classes({there[split]: list(files) for split, files in found.items()})
    classes = tuple(found["train"])
    if len(classes) < 2:
        raise UserError(
            f"{there['train']}: needs a sub-folder for each of two or more classes, "
            f"found {len(classes)}"
        )
    return {
        split: [(path, classes.index(name)) for name, paths in files.items() for path in paths]
        for split, files in found.items()
    }, classes


def _draw(
    splits: Listed, classes: tuple[str, ...], root: Path, val_images: int | None, seed: int
) -> None:
    """Draw from train the splits that are not there; test first, so that it depends on less."""
    whole = np.array([label for _, label in splits["train"]])
    counts = {"test": default_count(whole), "val": val_images or default_count(whole)}
    for split in ("test", "val"):
        if split in splits:
            continue
        files = splits["train"]
        labels = np.array([label for _, label in files])
        stay, kept = hold_out(labels, counts[split], seed, split)
        lost = set(range(len(classes))) - set(labels[stay].tolist())
        if lost:
            raise UserError(
                f"{root}: no picture of class {classes[min(lost)]} is left to train on when "
                f"{counts[split]} are kept back for {split}; add pictures or a folder {split}/"
            )
        splits["train"] = [files[index] for index in stay]
        splits[split] = [files[index] for index in kept]


def _common_size(paths: list[Path]) -> tuple[int, int]:
    """Height and width that all pictures have. Raises UserError naming two that differ."""
    first = upright_size(paths[0])
    for path in paths[1:]:
        other = upright_size(path)
        if other != first:
            raise UserError(
                f"{path}: {other[1]}x{other[0]}, but {paths[0]} is {first[1]}x{first[0]}; "
                f"add ,size=64 to scale and cut all to one size"
            )
    return first


def _check_memory(root: Path, needed: int) -> None:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > _MEMORY_SHARE * memory:
        raise UserError(
            f"{root}: its pictures take {needed / 1e9:,.1f} GB, more than "
            f"{_MEMORY_SHARE:.0%} of this machine's memory; add ,size=64 to make them smaller"
        )
