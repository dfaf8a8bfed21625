"""CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test pictures of 32x32, 100 classes.

The folder may hold any of these, and all give the same pictures in the same order:

    cifar-100-python.tar.gz             the official archive, read where it lies, or
    cifar-100-python/                   what it unpacks to: train, test, meta
    train-*.parquet  test-*.parquet     Hugging Face shards: img {bytes, path}, fine_label
    train/CLASS/*    test/CLASS/*       pictures in a folder a class
"""

from __future__ import annotations

import logging
from pathlib import Path

from triptych.cache import cache_folder
from triptych.data import cifar100_folders as folders
from triptych.data import cifar100_parquet as parquet
from triptych.data import cifar100_pickle as archive
from triptych.data.download import download
from triptych.data.held_out import default_count, hold_out
from triptych.data.image_cache import cached
from triptych.data.labelled_images import LabelledImages, by_content
from triptych.errors import UserError, WorkFailed

_LOG = logging.getLogger("triptych")

ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
MD5 = "eb9058c3a382ffc7106e4002c42a8d85"
"""As published beside the archive."""

OFFICIAL = {"train": 50_000, "test": 10_000}


def cifar100(
    root: Path | None, split: str, *, val_images: int | None = None, split_seed: int = 0
) -> LabelledImages:
    """One split: pixels (N, 3, 32, 32) and fine labels 0 to 99, in the order of the class names.

    `train` and `val` are drawn from the official training set by `split_seed` (see `hold_out`):
    45,000 and 5,000 unless `val_images` says otherwise, every class alike; `test` is the official
    test set. Without a folder the official archive is downloaded into the cache. Raises UserError
    naming the file, and row, that is missing or wrong.
    """
    official = _official(
        root if root is not None else fetch(), "test" if split == "test" else "train"
    )
    if split == "test":
        return official
    count = default_count(official.labels) if val_images is None else val_images
    if not 0 < count < len(official):
        raise UserError(
            f"{count} validation pictures cannot be kept back from {len(official)} for training"
        )
    stay, kept = hold_out(official.labels, count, split_seed, "val")
    return official.take(kept if split == "val" else stay, split)


def fetch() -> Path:
    """The folder of the cache with the official archive, downloaded where it is not there yet."""
    folder = cache_folder() / "cifar100"
    target = folder / archive.ARCHIVE
    if not target.is_file():
        try:
            download(ADDRESS, target, md5=MD5)
        except WorkFailed as error:
            raise WorkFailed(
                f"{error}; with the archive or parquet shards at hand, give cifar100:DIR"
            ) from error
    return folder


def _official(root: Path, split: str) -> LabelledImages:
    """An official split in the order of `by_content`, from whatever form lies in the folder."""
    if not root.is_dir():
        what = "a file, give its folder" if root.exists() else "no such folder"
        raise UserError(f"{root}: {what}")
    for form in (archive, parquet, folders):
        if (source := form.find(root, split)) is not None:
            images = cached(f"cifar100-{split}", source.digest(), lambda: by_content(source.read()))
            break
    else:
        raise UserError(
            f"{root}: has no CIFAR-100 ({archive.ARCHIVE}, {archive.FOLDER}/, "
            f"{split}-*.parquet or {split}/CLASS/)"
        )
    if not len(images):
        raise UserError(f"{root}: {split} has no pictures")
    if len(images) != OFFICIAL[split]:
        _LOG.warning(
            "%s: %s has %s pictures, CIFAR-100 has %s",
            root, split, f"{len(images):,}", f"{OFFICIAL[split]:,}",
        )  # fmt: skip
    return images
