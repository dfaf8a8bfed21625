"""PASCAL VOC 2007 and 2012 (Everingham 2010): 20 classes, with flags for difficult objects.

    VOCdevkit/VOC2007/JPEGImages/000005.jpg
    VOCdevkit/VOC2007/Annotations/000005.xml
    VOCdevkit/VOC2007/ImageSets/Main/train.txt     val.txt, trainval.txt, test.txt

Pictures are independent: they come from as many photographs. The test set of 2012 was never
published with its boxes.
"""

from __future__ import annotations

from pathlib import Path

from triptych.cache import cache_folder
from triptych.data.boxed_files import BoxedFolder, Reading
from triptych.data.voc_folder import disjoint, image_sets, read_stems
from triptych.errors import UserError

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
"""In the order of their names, as everybody numbers them."""

YEARS = {"voc2007": "VOC2007", "voc2012": "VOC2012"}
"""Data sets, and the folder of VOCdevkit that each is in."""


class VOC(BoxedFolder):
    """One year's data set. `root` is VOCdevkit, the folder that it is in, or the year's own folder;
    None is where `triptych data fetch` puts it. Raises UserError where it is not there.
    """

    classes = CLASSES
    grouped = False

    def __init__(self, name: str, root: Path | None = None) -> None:
        self.name = name
        self.folder = _find(name, root)

    def splits(self) -> list[str]:
        return disjoint(self._sets())

    def _sets(self) -> list[str]:
        found = image_sets(self.folder)
        if not found:
            raise UserError(f"{self.folder / 'ImageSets' / 'Main'}: lists no split")
        return found

    def read(self, split: str) -> Reading:
        if split not in self._sets():
            raise UserError(
                f"{self.folder}: no split {split!r} here; there are: {', '.join(self._sets())}"
            )
        return read_stems(self.folder, split)


def voc_cache() -> Path:
    """The VOCdevkit that `triptych data fetch` fills."""
    return cache_folder() / "VOCdevkit"


def _find(name: str, root: Path | None) -> Path:
    year = YEARS[name]
    if root is None:
        folder = voc_cache() / year
        if not folder.is_dir():
            raise UserError(
                f"{name} is not on this machine: `triptych data fetch {name}` downloads it, or "
                f"give its folder, as in {name}:DIR"
            )
        return folder
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    for folder in (root / year, root / "VOCdevkit" / year, root):
        if (folder / "Annotations").is_dir():
            if (folder.name != year) and folder.name in YEARS.values():
                raise UserError(f"{folder}: is not {year}")
            return folder
    raise UserError(f"{root}: has no {year}/Annotations; give VOCdevkit or its {year}")
