"""Cityscapes (Cordts 2016) with its fine annotations and 19 classes."""

from __future__ import annotations

from pathlib import Path

from triptych.data.classes import CITYSCAPES, VOID
from triptych.data.frames import (
    LABEL_ENDING,
    PICTURE_ENDINGS,
    DataFolder,
    Frame,
    LabelCode,
    Listing,
    files_by_stem,
)
from triptych.errors import UserError

SPLITS = ("train", "val", "test")
PICTURE_SUFFIX = "_leftImg8bit"
LABEL_SUFFIXES = ("_gtFine_labelIds", "_gtFine_labelTrainIds")

SCORED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
"""Label ids of the 19 scored classes, in the order of their train ids."""
UNSCORED = {
    0: "unlabeled", 1: "ego vehicle", 2: "rectification border", 3: "out of roi", 4: "static",
    5: "dynamic", 6: "ground", 9: "parking", 10: "rail track", 14: "guard rail", 15: "bridge",
    16: "tunnel", 18: "polegroup", 29: "caravan", 30: "trailer", VOID: "license plate",
}  # fmt: skip
"""Label ids that count as void; the license plate is -1, which an 8-bit file stores as 255."""

LABEL_IDS = LabelCode(
    ids={
        **dict.fromkeys(UNSCORED, VOID),
        **{label_id: train_id for train_id, label_id in enumerate(SCORED_IDS)},
    },
    names=UNSCORED,
)
TRAIN_IDS = LabelCode(ids={**{value: value for value in range(len(CITYSCAPES))}, VOID: VOID})


class Cityscapes(DataFolder):
    """Cityscapes in a folder, as the devkit unpacks it; the group of a frame is its city.

    Pictures are `leftImg8bit/SPLIT/CITY/…_leftImg8bit.png`, labels
    `gtFine/SPLIT/CITY/…_gtFine_labelIds.png` or, where those do not exist,
    `…_gtFine_labelTrainIds.png`.
    """

    name = "cityscapes"
    classes = CITYSCAPES

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        if not self.splits():
            raise UserError(
                f"{root}: not Cityscapes: it has no leftImg8bit/train, leftImg8bit/val or "
                "leftImg8bit/test"
            )
        ids_exist = any((root / "gtFine").glob(f"*/*/*{LABEL_SUFFIXES[0]}{LABEL_ENDING}"))
        self.label_suffix = LABEL_SUFFIXES[0] if ids_exist else LABEL_SUFFIXES[1]
        self.code = LABEL_IDS if ids_exist else TRAIN_IDS

    def splits(self) -> list[str]:
        return [split for split in SPLITS if (self.root / "leftImg8bit" / split).is_dir()]

    def listing(self, split: str) -> Listing:
        if split not in self.splits():
            raise self.no_split(split, self.root / "leftImg8bit" / split)
        folder = self.root / "gtFine" / split
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder, but leftImg8bit/{split} needs its labels")
        pictures = files_by_stem(
            self.root / "leftImg8bit" / split, PICTURE_ENDINGS, suffix=PICTURE_SUFFIX
        )
        labels = files_by_stem(folder, (LABEL_ENDING,), suffix=self.label_suffix)
        frames = tuple(
            Frame(
                key=pictures[stem].stem,
                group=pictures[stem].parent.name,
                number=None,
                picture=pictures[stem],
                label=labels[stem],
            )
            for stem in sorted(pictures.keys() & labels.keys())
        )
        lonely = sorted(pictures.keys() ^ labels.keys())
        return Listing(frames, tuple(pictures.get(stem) or labels[stem] for stem in lonely))
