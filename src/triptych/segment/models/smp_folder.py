"""A folder that segmentation-models-pytorch saved (`save_pretrained`) as a model."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.data.class_record import CLASSES, read_classes
from triptych.data.classes import CAMVID, CITYSCAPES, ClassSet
from triptych.errors import UserError
from triptych.normalisation import IMAGENET, Normalisation
from triptych.run import read_json
from triptych.weights import load

if TYPE_CHECKING:
    from triptych.segment.models.from_smp import SmpModel

_LOG = logging.getLogger("triptych")
_FILES = ("model.safetensors", "pytorch_model.bin")
_NOT_PASSED = ("_model_class", "encoder_weights", "activation")


def load_smp_folder(folder: Path) -> tuple[SmpModel, str, Normalisation, ClassSet]:
    """The model of a saved folder in evaluation mode, its kind's name, its input and its classes.

    The classes are those of `classes.json` in the folder, else known by their number: 19 are
    Cityscapes', 11 CamVid's. How pictures are normalised is said by `normalisation` there (`mean`,
    `std` and `scale`, see `Normalisation`), else by timm for an encoder of timm's, else taken to
    be as for ImageNet, with a warning. Raises UserError where the folder lacks something, the
    model takes no RGB pictures, or its classes are not known.
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
    encoder = str(config["encoder_name"])
    name = f"{PREFIX}{architecture.lower()}:{encoder}"
    return model.eval(), name, _normalisation(folder, encoder), classes


def is_smp_folder(folder: Path) -> bool:
    """Whether segmentation-models-pytorch saved a model in that folder."""
    try:
        config = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "_model_class" in config


def _normalisation(folder: Path, encoder: str) -> Normalisation:
    from triptych.segment.models.from_smp import encoder_normalisation

    file = folder / CLASSES
    record = read_json(file).get("normalisation") if file.is_file() else None
    if record is not None:
        return _checked(record, file)
    if (known := encoder_normalisation(encoder)) is not None:
        return known
    _LOG.warning(
        "%s does not say how pictures are normalised for %s: as for ImageNet, which mean, std and "
        "scale under normalisation in %s would change",
        folder,
        encoder,
        CLASSES,
    )
    return IMAGENET


def _checked(record: Any, file: Path) -> Normalisation:
    try:
        mean, std = (tuple(float(each) for each in record[key]) for key in ("mean", "std"))
        found = Normalisation(mean, std, float(record["scale"]))  # type: ignore[arg-type]
        if not len(mean) == len(std) == 3 or not min(*std, found.scale) > 0:
            raise ValueError
        if not all(map(math.isfinite, (*mean, *std, found.scale))):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise UserError(
            f"{file}: normalisation must hold mean and std, three numbers each, and scale, such as "
            '{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "scale": 0.00392157}'
        ) from None
    return found


def _classes(folder: Path, outputs: int) -> ClassSet:
    file = folder / CLASSES
    if file.is_file() and read_json(file).keys() != {"normalisation"}:
        classes = read_classes(folder)
        if len(classes) != outputs:
            raise UserError(f"{file} names {len(classes)} classes, the model has {outputs}")
        return classes
    for known in (CITYSCAPES, CAMVID):
        if len(known) == outputs:
            return known
    raise UserError(
        f"{folder}: what the {outputs} classes are is not known: write their names and colours "
        f"into {CLASSES} there, as in a run folder"
    )
