"""A run folder as a model: what `triptych train` wrote, ready to predict."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn

from triptych.data.class_record import CLASSES, read_classes
from triptych.data.classes import ClassSet
from triptych.errors import UserError
from triptych.own_model import check_trained
from triptych.run import newest_checkpoint, read_json
from triptych.segment.carried_edges import NET
from triptych.segment.folds import FOLDS
from triptych.segment.inverse.recipe import MODEL as INVERSE
from triptych.shipping import write_shipped


def load(folder: Path) -> tuple[nn.Module, str, ClassSet]:
    """The model of a run's newest checkpoint in evaluation mode, its registry name, its classes.

    The averaged weights are taken where the run kept some. Where the model is of a file that has
    changed since, that is warned of. Raises UserError where the folder is no run of this study or
    of an inverse network, has no checkpoint or one for each drive, its weights do not fit, or the
    file of its model is missing.
    """
    from triptych.segment.models import create
    from triptych.segment.models.base import load_published

    record = read_json(folder / "recipe.json")
    recipe = record.get("recipe", {})
    study = str(recipe.get("name", "")).partition("/")[0]
    if study != "segment":
        raise UserError(f"{folder} is a run of '{study}', not of 'segment'")
    if recipe.get("model") == INVERSE:
        raise UserError(
            f"{folder} is a run of {recipe['name']}: an inverse network, which the InverseForm "
            "loss uses, not a segmentation model"
        )
    if (folder / FOLDS).is_dir():
        raise UserError(f"{folder} has one model for each drive: give a folder in {folder / FOLDS}")
    checkpoint = newest_checkpoint(folder)
    classes = read_classes(folder)
    check_trained(str(recipe["model"]), record.get("code"), folder)
    model = create(str(recipe["model"]), classes=len(classes))
    averaged = checkpoint / "ema.safetensors"
    weights = averaged if averaged.exists() else checkpoint / "model.safetensors"
    try:
        load_published(model, _own_entries(load_file(weights)))
    except UserError as error:
        wanted = f"{recipe['model']} with the {len(classes)} classes of {folder / CLASSES}"
        raise UserError(f"{weights} does not fit {wanted}: {error}") from None
    return model.eval(), str(recipe["model"]), classes


def ship(folder: Path, file: Path) -> None:
    """Write the model of a run as weights that come with the package, see `write_shipped`."""
    write_shipped(load(folder)[0], folder, file)


def _own_entries(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's entries, without those of an edge head that it carried in training."""
    if not any(name.startswith(NET) for name in tensors):
        return tensors
    return {k.removeprefix(NET): v for k, v in tensors.items() if k.startswith(NET)}
