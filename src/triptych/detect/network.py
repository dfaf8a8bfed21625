"""From what `--model` says to a detector with its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.detect.class_names import CLASSES, read_class_names
from triptych.detect.models import create, entry, is_name
from triptych.errors import UserError
from triptych.run import newest_checkpoint, read_json
from triptych.weights import load

if TYPE_CHECKING:
    from triptych.detect.models.detector import Detector

STUDY = "detect"
OUTPUTS = "roi_heads.box_predictor.cls_score.weight"
"""The entry of a detector that has a row for the background and for each class."""


@dataclass(frozen=True)
class DetectorNetwork:
    """A detector with its weights, and what one must know to use it."""

    name: str
    """The registry's, or of a run folder the last two parts of its path."""
    architecture: str
    """The registry's name."""
    model: Detector
    """In evaluation mode."""
    classes: tuple[str, ...]
    """Names by label."""


def open_network(model: str, weights: Path | None = None) -> DetectorNetwork:
    """Open `model`: a run folder of this study, or a registry name with a file of `weights`.

    Of a run the newest checkpoint counts, its averaged weights where it kept some. No weights of
    whole detectors are published, so a registry name needs a file, which says how many classes
    there are; their names are those of a `classes.json` beside it, else `class 1`, `class 2`, ….
    Raises UserError where there is no such model or its weights do not fit.
    """
    check_network(model, weights)
    if not is_name(model):
        return _of_run(Path(model))
    if weights is None:
        raise UserError(
            f"{model} has no published weights: give the folder of a run that trained it, or "
            "--weights FILE"
        )
    content = load(weights)
    rows = getattr(content.get(OUTPUTS), "shape", (0,))[0]
    if rows < 2:
        raise UserError(f"{weights} holds no weights of a detector: it has no {OUTPUTS}")
    classes = _names_beside(weights, rows - 1)
    return DetectorNetwork(model, model, _loaded(model, content, weights, rows - 1), classes)


def check_network(model: str, weights: Path | None = None) -> None:
    """Raise UserError where `open_network` could not know what is meant. Opens nothing."""
    if is_name(model):
        if weights is not None and not weights.is_file():
            raise UserError(f"--weights {weights}: no such file")
        return
    folder = Path(model)
    if not folder.is_dir():
        if folder.exists() or len(folder.parts) > 1:
            raise UserError(f"--model {model}: no such folder, and no detector's name")
        entry(model)
    if weights is not None:
        raise UserError(f"--weights goes with a model's name, and {model} is a folder")
    if not (folder / "recipe.json").exists():
        raise UserError(f"--model {model}: not the folder of a run, and no detector's name")


def network_name(model: str) -> str:
    """The name that `open_network` gives to `model`."""
    return model if is_name(model) else "/".join(Path(model).resolve().parts[-2:])


def whose_weights(model: str, weights: Path | None = None) -> str:
    """Whose weights `open_network` takes: those of a `file`, or `trained` here."""
    return "file" if weights is not None else "trained"


def untrained_network(name: str) -> DetectorNetwork:
    """The detector of the registry with weights drawn at random, always the same ones."""
    import torch

    from triptych.detect.models.registry import TABLE_CLASSES

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = create(name, TABLE_CLASSES)
    return DetectorNetwork(name, name, model.eval(), _numbered(TABLE_CLASSES))


def weights_of(model: str) -> Path:
    """The file whose weights a run folder's newest checkpoint stands for: averaged ones first."""
    check_network(model)
    checkpoint = newest_checkpoint(Path(model))
    averaged = checkpoint / "ema.safetensors"
    return averaged if averaged.exists() else checkpoint / "model.safetensors"


def _of_run(folder: Path) -> DetectorNetwork:
    record = read_json(folder / "recipe.json").get("recipe", {})
    study = str(record.get("name", "")).partition("/")[0]
    if study != STUDY:
        raise UserError(f"{folder} is a run of '{study}', not of '{STUDY}'")
    file = weights_of(str(folder))
    classes = read_class_names(folder)
    architecture = str(record["model"])
    model = _loaded(architecture, load(file), file, len(classes))
    return DetectorNetwork(network_name(str(folder)), architecture, model, classes)


def _loaded(architecture: str, content: Mapping[str, Any], file: Path, classes: int) -> Detector:
    model = create(architecture, classes)
    wanted = model.state_dict()
    wrong = [
        *(f"{name} is missing" for name in wanted if name not in content),
        *(f"{name} is not known" for name in content if name not in wanted),
        *(
            f"{name} is {tuple(content[name].shape)}, not {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in content and content[name].shape != tensor.shape
        ),
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise UserError(
            f"{file} does not fit {architecture} with {classes} classes: {wrong[0]}{more}"
        )
    model.load_state_dict(content)
    model.eval()
    return model


def _names_beside(weights: Path, count: int) -> tuple[str, ...]:
    if not (weights.parent / CLASSES).is_file():
        return _numbered(count)
    names = read_class_names(weights.parent)
    if len(names) != count:
        raise UserError(
            f"{weights.parent / CLASSES} names {len(names)} classes, and {weights.name} has {count}"
        )
    return names


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class {number}" for number in range(1, count + 1))
