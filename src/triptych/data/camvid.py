"""CamVid (Brostow 2009) in SegNet's layout or the original one, with 11 classes.

The Cambridge-driving Labeled Video Database: 701 frames of four drives. The frame's name starts
with its drive. `train` and `val` share drive 0016E5, so beside the classic split there is
`drive:NAME` with `not-drive:NAME`, which leaves one drive of train + val out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from triptych.data.classes import CAMVID, VOID
from triptych.data.frames import (
    LABEL_ENDING,
    PICTURE_ENDINGS,
    DataFolder,
    Frame,
    LabelCode,
    Listing,
    files_by_stem,
    rgb_code,
)
from triptych.errors import UserError

SPLITS = ("train", "val", "test")
STILLS, COLOURS = "701_StillsRaw_full", "LabeledApproved_full"
SEGNET_VOID = 11

GROUPS: dict[str, tuple[tuple[str, tuple[int, int, int]], ...]] = {
    "Sky": (("Sky", (128, 128, 128)),),
    "Building": (
        ("Building", (128, 0, 0)),
        ("Wall", (64, 192, 0)),
        ("Bridge", (0, 128, 64)),
        ("Tunnel", (64, 0, 64)),
        ("Archway", (192, 0, 128)),
    ),
    "Pole": (("Column_Pole", (192, 192, 128)), ("TrafficCone", (0, 0, 64))),
    "Road": (
        ("Road", (128, 64, 128)),
        ("LaneMkgsDriv", (128, 0, 192)),
        ("LaneMkgsNonDriv", (192, 0, 64)),
    ),
    "Pavement": (
        ("Sidewalk", (0, 0, 192)),
        ("ParkingBlock", (64, 192, 128)),
        ("RoadShoulder", (128, 128, 192)),
    ),
    "Tree": (("Tree", (128, 128, 0)), ("VegetationMisc", (192, 192, 0))),
    "SignSymbol": (
        ("SignSymbol", (192, 128, 128)),
        ("Misc_Text", (128, 128, 64)),
        ("TrafficLight", (0, 64, 64)),
    ),
    "Fence": (("Fence", (64, 64, 128)),),
    "Car": (
        ("Car", (64, 0, 128)),
        ("SUVPickupTruck", (64, 128, 192)),
        ("Truck_Bus", (192, 128, 192)),
        ("Train", (192, 64, 128)),
        ("OtherMoving", (128, 64, 64)),
    ),
    "Pedestrian": (
        ("Pedestrian", (64, 64, 0)),
        ("Child", (192, 128, 64)),
        ("CartLuggagePram", (64, 0, 192)),
        ("Animal", (64, 128, 64)),
    ),
    "Bicyclist": (("Bicyclist", (0, 128, 192)), ("MotorcycleScooter", (192, 0, 192))),
}
"""The 32 original classes by class of SegNet (Badrinarayanan 2017); the 32nd, Void, is void."""

SEGNET_CODE = LabelCode(
    ids={**{value: value for value in range(len(CAMVID))}, SEGNET_VOID: VOID, VOID: VOID}
)
COLOUR_CODE = LabelCode(
    ids={},
    colours={
        rgb_code(0, 0, 0): VOID,
        **{
            rgb_code(*colour): CAMVID.names.index(name)
            for name, members in GROUPS.items()
            for _, colour in members
        },
    },
    names={rgb_code(*colour): name for members in GROUPS.values() for name, colour in members},
)


class CamVid(DataFolder):
    """CamVid in a folder.

    SegNet's layout has `train/` beside `trainannot/` (and `val`, `test`), label files of ids 0
    to 10 with 11 for void. The original has `701_StillsRaw_full/` and `LabeledApproved_full/`
    with colour-coded `…_L.png`; there the classic split of 367, 101 and 233 frames follows from
    drive and frame number, or from `train.txt`, `val.txt` and `test.txt` beside the two folders
    (one frame a line), where they exist. Splits: `train`, `val`, `test`, `trainval`,
    `drive:NAME` (frames of a drive in train + val) and `not-drive:NAME` (the rest of them).
    """

    name = "camvid"
    classes = CAMVID

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.original = (root / STILLS).is_dir() and not (root / "train").is_dir()
        self.code = COLOUR_CODE if self.original else SEGNET_CODE
        if not self.splits():
            raise UserError(
                f"{root}: not CamVid: neither train/ with trainannot/ (SegNet's layout) nor "
                f"{STILLS}/ with {COLOURS}/ (the original) is in it"
            )

    def splits(self) -> list[str]:
        if self.original:
            keys = files_by_stem(self.root / STILLS, PICTURE_ENDINGS)
            return [split for split in SPLITS if any(map(self._belongs(split), keys))]
        return [split for split in SPLITS if (self.root / split).is_dir()]

    def more_splits(self) -> list[str]:
        if not {"train", "val"} <= set(self.splits()):
            return []
        drives = sorted({frame.group for frame in self._trainval().frames})
        return [
            "trainval",
            *(f"{kind}:{drive}" for kind in ("drive", "not-drive") for drive in drives),
        ]

    def listing(self, split: str) -> Listing:
        kind, colon, drive = split.partition(":")
        if colon and kind in ("drive", "not-drive"):
            both = self._trainval()
            chosen = [f for f in both.frames if (f.group == drive) == (kind == "drive")]
            if drive not in {frame.group for frame in both.frames}:
                raise self.no_split(split)
            return both.select(chosen)
        if split == "trainval":
            return self._trainval()
        if split not in self.splits():
            raise self.no_split(split, self.root / split if split in SPLITS else None)
        return self._original(split) if self.original else self._segnet(split)

    def _trainval(self) -> Listing:
        train, val = self.listing("train"), self.listing("val")
        frames = sorted(train.frames + val.frames, key=lambda frame: frame.key)
        return Listing(tuple(frames), train.unpaired + val.unpaired)

    def _segnet(self, split: str) -> Listing:
        labels = self.root / f"{split}annot"
        if not labels.is_dir():
            raise UserError(f"{labels}: no such folder, but {split}/ needs its labels there")
        return pair(
            files_by_stem(self.root / split, PICTURE_ENDINGS),
            files_by_stem(labels, (LABEL_ENDING,)),
        )

    def _original(self, split: str) -> Listing:
        labels = self.root / COLOURS
        if not labels.is_dir():
            raise UserError(f"{labels}: no such folder, but {STILLS}/ needs its labels there")
        belongs = self._belongs(split)
        pictures = files_by_stem(self.root / STILLS, PICTURE_ENDINGS)
        coloured = files_by_stem(labels, (LABEL_ENDING,), suffix="_L")
        return pair(
            {key: path for key, path in pictures.items() if belongs(key)},
            {key: path for key, path in coloured.items() if belongs(key)},
        )

    def _belongs(self, split: str) -> Callable[[str], bool]:
        """Whether a frame of the original layout is in a split, by its key."""
        listed = self.root / f"{split}.txt"
        if not listed.is_file():
            return lambda key: classic_split(key) == split
        lines = listed.read_text().split("\n")
        keys = {Path(line.split()[0]).stem.removesuffix("_L") for line in lines if line.strip()}
        return keys.__contains__


def pair(pictures: dict[str, Path], labels: dict[str, Path]) -> Listing:
    """Frames of the stems that both have."""
    frames = [
        Frame(key, *drive_and_number(key), pictures[key], labels[key])
        for key in sorted(pictures.keys() & labels.keys())
    ]
    lonely = [pictures.get(key) or labels[key] for key in sorted(pictures.keys() ^ labels.keys())]
    return Listing(tuple(frames), tuple(lonely))


def drive_and_number(key: str) -> tuple[str, int | None]:
    """`0006R0_f00930` is frame 930 of drive 0006R0."""
    digits = re.search(r"(\d+)$", key)
    return key.split("_")[0], int(digits.group(1)) if digits else None


def classic_split(key: str) -> str:
    """The split of an original frame in the usual 367/101/233 partition (Sturgess 2009)."""
    drive, number = drive_and_number(key)
    if drive == "Seq05VD" or (drive == "0001TP" and number is not None and number >= 8550):
        return "test"
    if drive == "0016E5" and number is not None and 7959 <= number <= 8159:
        return "val"
    return "train"
