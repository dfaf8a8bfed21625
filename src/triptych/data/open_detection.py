"""Specifications of data to detect in: `voc2007:DIR`, `voc2012:DIR`, `vocxml:DIR`,
`coco:FILE.json,PICTURES`, `streets[:scenes=8,…]`."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from triptych.data.boxed_files import BoxedFolder
from triptych.data.boxes import DetectionData
from triptych.data.coco_json import COCOFolder
from triptych.data.open_data import is_streets, streets_options
from triptych.data.voc import VOC, YEARS
from triptych.data.voc_folder import VOCFolder
from triptych.errors import UserError

FORMS = {
    **{year: f"{year}[:DIR]" for year in YEARS},
    "vocxml": "vocxml:DIR",
    "coco": "coco:FILE.json,PICTURES",
    "streets": "streets",
}


def open_detection(spec: str, split: str = "val", *, strict: bool = True) -> DetectionData:
    """One split of the detection data set that a specification names.

    voc2007:DIR, voc2012:DIR    PASCAL VOC; without DIR what `triptych data fetch` downloaded
    vocxml:DIR                  pictures of one's own with XML files in VOC's form
    coco:FILE.json,PICTURES     pictures of one's own with one JSON file in COCO's form; `{split}`
                                in the names stands for the split
    streets                     made by program; takes `scenes`, `frames`, `size` and `seed`

    With `strict` nothing may be wrong with annotations and pictures; without, what is wrong is left
    out, and `findings` and `left_out` of the result tell it (see `BoxedFolder.open`). Raises
    UserError for an unknown kind, a place that holds no such data, and a split that is not there.
    """
    if is_streets(spec):
        # Streets needs nothing of the other data sets, nor they of it.
        from triptych.data.street_boxes import StreetBoxes

        return StreetBoxes(split=split, **streets_options(spec))
    return open_boxed_folder(spec).open(split, strict)


def is_boxed_folder(spec: str) -> bool:
    """Whether a specification names files with boxes, and nothing else."""
    return spec.partition(":")[0] in FORMS and not is_streets(spec)


def open_boxed_folder(spec: str) -> BoxedFolder:
    """The data set in files, all splits, that a specification names. Raises UserError."""
    kind, _, rest = spec.partition(":")
    if not is_boxed_folder(spec):
        near = get_close_matches(kind, FORMS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(
            f"--data {spec}: unknown kind of data{hint} (there are {', '.join(FORMS.values())})"
        )
    if kind in YEARS:
        return VOC(kind, Path(rest).expanduser() if rest else None)
    if kind == "vocxml":
        if not rest:
            raise UserError(f"--data {spec}: vocxml needs its folder, as in vocxml:DIR")
        return VOCFolder(Path(rest).expanduser())
    file, comma, pictures = rest.partition(",")
    if not file or not pictures:
        what = "the folder of its pictures" if file and not comma else "a file and a folder"
        raise UserError(f"--data {spec}: coco needs {what}, as in {FORMS['coco']}")
    return COCOFolder(file, pictures)
