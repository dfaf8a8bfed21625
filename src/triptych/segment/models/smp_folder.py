"""A folder that segmentation-models-pytorch saved (`save_pretrained`) as a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.data.classes import CAMVID, CITYSCAPES, ClassSet
from triptych.errors import UserError
from triptych.segment.class_record import CLASSES, read_classes
from triptych.weights import load

if TYPE_CHECKING:
    from triptych.segment.models.from_smp import SmpModel

_FILES = ("model.safetensors", "pytorch_model.bin")
_NOT_PASSED = ("_model_class", "encoder_weights", "activation")


def load_smp_folder(folder: Path) -> tuple[SmpModel, str, ClassSet]:
    """The model of a saved folder in evaluation mode, the name of its kind, and its classes.

    The classes are those of `classes.json` in the folder, else known by their number: 19 are
    Cityscapes', 11 CamVid's. Raises UserError where the folder lacks something, the model takes
    no RGB pictures, or its classes are not known.
    """
    from triptych.segment.models.from_smp import PREFIX, SmpModel, smp_network

    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    architecture = str(config["_model_class"])
    if config.get("in_channels", 3) != 3:
        raise UserError(f"{folder}: the model takes {config['in_channels']} channels, not RGB")
    if config.get("aux_params"):
        raise UserError(f"{folder}: the model also classifies whole pictures (aux_params)")
    classes = _classes(folder, int(config.get("classes", 1)))
    file = next((folder / name for name in _FILES if (folder / name).is_file()), None)
    if file is None:
        raise UserError(f"{folder} holds no weights: neither {' nor '.join(_FILES)}")
    wanted = {key: value for key, value in config.items() if key not in _NOT_PASSED}
    model = SmpModel(smp_network(architecture, **wanted))
    try:
        model.load_published(load(file))
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    return model.eval(), f"{PREFIX}{architecture.lower()}:{config['encoder_name']}", classes


def is_smp_folder(folder: Path) -> bool:
    """Whether segmentation-models-pytorch saved a model in that folder."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "_model_class" in config


def _classes(folder: Path, outputs: int) -> ClassSet:
    if (folder / CLASSES).is_file():
        classes = read_classes(folder)
        if len(classes) != outputs:
            raise UserError(
                f"{folder / CLASSES} names {len(classes)} classes, the model has {outputs}"
            )
        return classes
    for known in (CITYSCAPES, CAMVID):
        if len(known) == outputs:
            return known
    raise UserError(
        f"{folder}: what the {outputs} classes are is not known: write their names and colours "
        f"into {CLASSES} there, as in a run folder"
    )
