"""A run folder as a model: what `triptych train` wrote, ready to predict."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from triptych.data.classes import ClassSet
from triptych.errors import UserError
from triptych.run import newest_checkpoint, read_json, write_json

CLASSES = "classes.json"


def write_classes(folder: Path, classes: ClassSet) -> None:
    """Record the classes that a run's model is trained on."""
    record = {"name": classes.name, "names": classes.names, "colours": classes.colours}
    write_json(folder / CLASSES, record)


def read_classes(folder: Path) -> ClassSet:
    """The classes of a run. Raises UserError where the record is missing or broken."""
    record = read_json(folder / CLASSES)
    try:
        colours = tuple((int(r), int(g), int(b)) for r, g, b in record["colours"])
        names = tuple(map(str, record["names"]))
        if not 0 < len(names) == len(colours):
            raise ValueError
        return ClassSet(str(record["name"]), names, colours)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder / CLASSES} is not a record of classes") from None


def load(folder: Path) -> tuple[nn.Module, str, ClassSet]:
    """The model of a run's newest checkpoint in evaluation mode, its registry name, its classes.

    The averaged weights are taken where the run kept some. Raises UserError where the folder is
    no run of this study, has no checkpoint, or its weights do not fit the model.
    """
    from triptych.segment.models import create

    recipe = read_json(folder / "recipe.json").get("recipe", {})
    study = str(recipe.get("name", "")).partition("/")[0]
    if study != "segment":
        raise UserError(f"{folder} is a run of '{study}', not of 'segment'")
    checkpoint = newest_checkpoint(folder)
    classes = read_classes(folder)
    model = create(str(recipe["model"]), classes=len(classes))
    averaged = checkpoint / "ema.safetensors"
    weights = averaged if averaged.exists() else checkpoint / "model.safetensors"
    try:
        model.load_state_dict(load_file(weights))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{weights} does not fit the model {recipe['model']}: {reason}") from None
    return model.eval(), str(recipe["model"]), classes
