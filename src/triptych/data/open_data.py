"""Data specifications: `camvid:DIR`, `cityscapes:DIR`, `folder:DIR`, `streets[:scenes=8,…]`,
`labelled:PICTURES,LABELS`."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from triptych.data.camvid import CamVid
from triptych.data.cityscapes import Cityscapes
from triptych.data.folder import LabelFolder
from triptych.data.frames import DataFolder
from triptych.data.labelled import LabelledData
from triptych.data.labelled_pictures import LabelledPictures
from triptych.errors import UserError

FOLDERS: dict[str, type[DataFolder]] = {
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "folder": LabelFolder,
}
LABELLED = "labelled"
STREETS = "streets"
STREETS_OPTIONS = {"scenes": "scenes", "frames": "frames_per_scene", "seed": "seed", "size": "size"}


def open_data(spec: str, split: str = "val") -> LabelledData:
    """One split of the data set that a specification names.

    `streets` is made by program and takes `scenes`, `frames` (a scene), `size` (width x height)
    and `seed`, as in `streets:scenes=8,frames=6,size=192x96`. Raises UserError for an unknown
    kind, a folder that is not such a data set, and a split that is not there.
    """
    if is_streets(spec):
        # Streets needs nothing of the other data sets, nor they of it.
        from triptych.data.streets import Streets

        return Streets(split=split, **streets_options(spec))
    return open_folder(spec).open(split)


def is_streets(spec: str) -> bool:
    return spec.partition(":")[0] == STREETS


def open_folder(spec: str) -> DataFolder:
    """The data set in a folder, all splits, that a specification names. Raises UserError."""
    kind, _, folder = spec.partition(":")
    if kind == LABELLED:
        return _labelled(spec, folder)
    forms = [*(f"{name}:DIR" for name in FOLDERS), f"{LABELLED}:PICTURES,LABELS", STREETS]
    if kind not in FOLDERS:
        near = get_close_matches(kind, [*FOLDERS, LABELLED, STREETS], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"--data {spec}: unknown kind of data{hint} (there are {', '.join(forms)})")
    if not folder:
        raise UserError(f"--data {spec}: {kind} needs its folder, as in {kind}:DIR")
    return FOLDERS[kind](Path(folder).expanduser())


def _labelled(spec: str, folders: str) -> LabelledPictures:
    pictures, _, labels = folders.partition(",")
    if not pictures or not labels or "," in labels:
        raise UserError(
            f"--data {spec}: {LABELLED} needs two folders, as in {LABELLED}:PICTURES,LABELS"
        )
    return LabelledPictures(Path(pictures).expanduser(), Path(labels).expanduser())


def streets_options(spec: str) -> dict[str, Any]:
    """The keyword arguments of `Streets` that a specification gives; size as (height, width)."""
    text = spec.partition(":")[2]
    options: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in STREETS_OPTIONS:
            near = get_close_matches(name, STREETS_OPTIONS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"--data {spec}: streets has no option {name!r}{hint} "
                f"(there are {', '.join(STREETS_OPTIONS)})"
            )
        numbers = value.split("x") if name == "size" else [value]
        if len(numbers) != (2 if name == "size" else 1) or not all(map(str.isdecimal, numbers)):
            form = "WIDTHxHEIGHT" if name == "size" else "a whole number"
            raise UserError(f"--data {spec}: {name} must be {form}, not {value!r}")
        parsed = [int(number) for number in numbers]
        options[STREETS_OPTIONS[name]] = (parsed[1], parsed[0]) if name == "size" else parsed[0]
    return options
