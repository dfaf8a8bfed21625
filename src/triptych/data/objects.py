"""Procedural pictures to classify: crops of the objects in `streets`, made by program."""

from __future__ import annotations

import numpy as np

from triptych.data.image_cache import cached
from triptych.data.labelled_images import LabelledImages
from triptych.errors import UserError
from triptych.progress import bar

SPLITS = ("train", "val", "test")
OPTIONS = {"train": 2000, "val": 500, "test": 500, "size": 32, "seed": 0}
"""Pictures of every split, their side in pixels, and the seed of the scenes; with defaults."""
_DRAWN_AT_ONCE = 200
_PARTS = 1 << 16
"""Seeds of a split: as many as parts of `_DRAWN_AT_ONCE` pictures."""
_LEAST_SIZE, _MOST_SIZE = 8, 512
_MOST_SEED = 1 << 20


def objects(split: str, **options: int) -> LabelledImages:
    """One split of street objects: ten classes, every class alike to within one picture.

    The scenes of a split and seed are its own, so no object is in two splits. About 60 pictures a
    second are drawn, so they are kept in the cache. `options` are those of `OPTIONS`. Raises
    UserError.
    """
    chosen = {**OPTIONS, **options}
    count, size, seed = chosen[split], chosen["size"], chosen["seed"]
    most = _DRAWN_AT_ONCE * _PARTS
    if not 1 <= count <= most or not _LEAST_SIZE <= size <= _MOST_SIZE or seed >= _MOST_SEED:
        raise UserError(
            f"objects: {split} must be 1 to {most:,} pictures, size {_LEAST_SIZE} to {_MOST_SIZE} "
            f"and seed below {_MOST_SEED:,}, not {count}, {size} and {seed}"
        )
    # What draws scenes is imported here only, so that a cached data set opens fast.
    from triptych.data.streets import VERSION, object_crops

    first = (seed * len(SPLITS) + SPLITS.index(split)) * _PARTS

    def draw() -> LabelledImages:
        pixels, labels = [], []
        with bar(f"objects {split}", count, unit="pictures") as progress:
            for part, done in enumerate(range(0, count, _DRAWN_AT_ONCE)):
                wanted = min(_DRAWN_AT_ONCE, count - done)
                crops, drawn, names = object_crops(wanted, first + part, size)
                pixels.append(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
                labels.append(drawn)
                progress.advance(wanted)
        return LabelledImages(
            "objects", split, np.concatenate(pixels), np.concatenate(labels), names,
            tuple(f"{split}-{index:05d}" for index in range(count)),
        )  # fmt: skip

    return cached(f"objects-{split}", f"{VERSION} {split} {count} {seed} {size}", draw)
