"""Pictures that took long to decode or to draw, kept as arrays for the next start."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from triptych.cache import cache_folder
from triptych.data.labelled_images import LabelledImages

_LOG = logging.getLogger("triptych")
_FORMAT = 1
"""Raised with every change of what is kept."""


def cached(name: str, made_of: str, make: Callable[[], LabelledImages]) -> LabelledImages:
    """What `make` returns, kept in the cache under `made_of`: all that decides the pictures.

    The file is an uncompressed .npz, whose entries carry a checksum, so that a damaged one is
    noticed and made anew. Where the cache cannot be written, nothing is kept.
    """
    key = hashlib.sha256(f"{_FORMAT}\n{made_of}".encode()).hexdigest()[:32]
    path = cache_folder() / "images" / f"{name}-{key}.npz"
    if path.is_file():
        try:
            return _load(path)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
            _LOG.warning("%s: damaged (%s), making it anew", path, error)
    images = make()
    try:
        _save(path, images)
    except OSError as error:
        _LOG.warning("%s: cannot be written (%s); nothing is kept", path, error.strerror)
    return images


def _load(path: Path) -> LabelledImages:
    with np.load(path, allow_pickle=False) as file:
        name, split = (str(text) for text in file["name"])
        return LabelledImages(
            name,
            split,
            file["pixels"],
            file["labels"],
            tuple(map(str, file["classes"])),
            tuple(map(str, file["keys"])),
        )


def _save(path: Path, images: LabelledImages) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                name=np.array([images.name, images.split]),
                pixels=images.pixels,
                labels=images.labels,
                classes=np.array(images.classes),
                keys=np.array(images.keys),
            )
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    finally:
        Path(aside).unlink(missing_ok=True)
