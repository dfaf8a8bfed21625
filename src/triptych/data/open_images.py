"""Specifications of pictures to classify: `cifar100[:DIR]`, `folder:DIR[,size=64]`, `objects`."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from triptych.data.cifar100 import cifar100
from triptych.data.image_folder import image_folder
from triptych.data.labelled_images import LabelledImages
from triptych.data.objects import OPTIONS as OBJECTS_OPTIONS
from triptych.data.objects import objects
from triptych.errors import UserError

SPLITS = ("train", "val", "test")
FORMS = {
    "cifar100": "cifar100[:DIR]",
    "folder": "folder:DIR[,size=64]",
    "objects": "objects[:train=2000,val=500,test=500,size=32,seed=0]",
}


def open_images(
    spec: str, split: str, *, val_images: int | None = None, split_seed: int = 0
) -> LabelledImages:
    """One split, `train`, `val` or `test`, of the data set that a specification names.

    cifar100:DIR     CIFAR-100 in a folder, in any form that `triptych.data.cifar100` reads
    cifar100         the same, downloaded into the cache
    folder:DIR       a folder of one's own, a sub-folder a class; with `,size=N` pictures are
                     scaled and cut to N x N
    objects          street objects made by program; takes `train`, `val`, `test` (pictures),
                     `size` and `seed`

    Where no validation split is given it is drawn from the training pictures by `split_seed`:
    `val_images` of them, a tenth by default. Raises UserError for what is unknown, missing or
    broken.
    """
    if split not in SPLITS:
        raise UserError(f"no split {split!r}{_near(split, SPLITS)} (there are {', '.join(SPLITS)})")
    if val_images is not None and val_images < 1:
        raise UserError(f"at least one validation picture is needed, not {val_images}")
    kind, _, rest = spec.partition(":")
    if kind == "cifar100":
        folder = Path(rest).expanduser() if rest else None
        return cifar100(folder, split, val_images=val_images, split_seed=split_seed)
    if kind == "folder":
        place, options = _folder_and_options(spec, rest)
        return image_folder(
            place, split, size=options.get("size"), val_images=val_images, split_seed=split_seed
        )
    if kind == "objects":
        options = _options(spec, rest.split(",") if rest else [], OBJECTS_OPTIONS)
        if val_images is not None:
            options["val"] = val_images
        return objects(split, **options)
    raise UserError(
        f"--data {spec}: unknown kind of data{_near(kind, FORMS)} "
        f"(there are {', '.join(FORMS.values())})"
    )


def _folder_and_options(spec: str, rest: str) -> tuple[Path, dict[str, int]]:
    """The folder, whose name may hold commas, and the options behind it."""
    if Path(rest).expanduser().is_dir() and rest:
        return Path(rest).expanduser(), {}
    place, *parts = rest.split(",")
    while parts and "=" not in parts[0]:
        place = f"{place},{parts.pop(0)}"
    if not place:
        raise UserError(f"--data {spec}: folder needs its folder, as in {FORMS['folder']}")
    return Path(place).expanduser(), _options(spec, parts, ["size"])


def _options(spec: str, parts: Iterable[str], known: Iterable[str]) -> dict[str, int]:
    options = {}
    for part in parts:
        name, _, value = part.partition("=")
        if name not in known:
            raise UserError(
                f"--data {spec}: no option {name!r}{_near(name, known)} "
                f"(there are {', '.join(known)})"
            )
        if not value.isascii() or not value.isdecimal():
            raise UserError(f"--data {spec}: {name} must be a whole number, not {value!r}")
        options[name] = int(value)
    return options


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.casefold(), list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
