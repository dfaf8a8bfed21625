"""Pictures in one folder, label images of them in another: what a model labelled, to train on.

triptych predict PICTURES --model TEACHER --save-labels --out OUT
labelled:PICTURES,OUT/labels/TEACHER
"""

from __future__ import annotations

from pathlib import Path

from triptych.data.class_record import CLASSES, code_of, read_classes
from triptych.data.frames import (
    LABEL_ENDING,
    SUFFIXES,
    DataFolder,
    Frame,
    Listing,
    files_by_stem,
)
from triptych.errors import UserError

SPLIT = "train"
GROUP = "all"


class LabelledPictures(DataFolder):
    """The pictures of a folder, without its sub-folders, that label images in another belong to.

    A label image has the name of its picture without the ending, or with it (`a.jpg.png`), as
    `predict` writes where two pictures have the same stem. Its ids are those of the `classes.json`
    beside it, 255 is void. There is one split, `train`: labels that a model made are nothing to
    score on. Raises UserError where a folder or `classes.json` is missing.
    """

    name = "labelled"

    def __init__(self, root: Path, labels: Path) -> None:
        if root.is_file():
            raise UserError(f"{root}: is a file, but labelled needs a folder of pictures")
        super().__init__(root)
        if not labels.is_dir():
            raise UserError(f"{labels}: no such folder")
        if not (labels / CLASSES).is_file():
            inside = sorted(path.parent.name for path in labels.glob(f"*/{CLASSES}"))
            hint = f"; it is in {', '.join(inside)}: name that folder" if inside else ""
            raise UserError(f"{labels}: has no {CLASSES}, which says what the ids mean{hint}")
        self._labels = labels
        self.classes = read_classes(labels)
        self.code = code_of(self.classes)

    def splits(self) -> list[str]:
        return [SPLIT]

    def listing(self, split: str) -> Listing:
        if split != SPLIT:
            raise self.no_split(split)
        labels = files_by_stem(self._labels, (LABEL_ENDING,))
        frames: dict[str, Frame] = {}
        lonely: list[Path] = []
        for picture in sorted(self.root.iterdir()):
            if picture.suffix.lower() not in SUFFIXES or picture.name.startswith("."):
                continue
            key = picture.name if picture.name in labels else picture.stem
            if key not in labels:
                lonely.append(picture)
            elif key in frames:
                raise UserError(f"{picture}: and {frames[key].picture.name} have one label image")
            else:
                frames[key] = Frame(key, GROUP, None, picture, labels[key])
        lonely += [labels[key] for key in sorted(labels.keys() - frames.keys())]
        return Listing(tuple(frames[key] for key in sorted(frames)), tuple(lonely))
