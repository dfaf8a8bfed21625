"""Which study a command line means, by its models and its data. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from triptych.errors import UserError

StudyName = Literal["segment", "detect"]

KINDS: Mapping[StudyName, str] = {
    "segment": "a segmentation model",
    "detect": "a detector",
}


DETECTOR = b"max_detections"
"""What an exported detector says of itself and an exported segmentation model does not."""


def study_of_models(models: Sequence[str]) -> StudyName:
    """The study that all models of a command line are of.

    A registry name, a run folder and an exported file say it themselves, a `.json` file is one of
    detections; what else there is, such as a folder of label images or a name that nobody knows,
    is left to `segment`. Raises UserError for models of both, and for a classifier.
    """
    found = {model: study_of(model) for model in models}
    first = models[0]
    for model, study in found.items():
        if study != found[first]:
            raise UserError(
                f"--model {first} is {KINDS[found[first]]} and --model {model} is {KINDS[study]}: "
                "take models of one kind at a time"
            )
    return found[first]


def study_of(model: str) -> StudyName:
    """The study that a model is of, see `study_of_models`."""
    from triptych.classify.models import names as classifiers
    from triptych.detect.models import is_name as is_detector
    from triptych.segment.models import is_name as is_segmentation_model

    if is_segmentation_model(model):
        return "segment"
    if is_detector(model):
        return "detect"
    place = Path(model)
    recipe = place / "recipe.json"
    if recipe.is_file():
        from triptych.run import read_json

        name = str(read_json(recipe).get("recipe", {}).get("name"))
        study = name.partition("/")[0]
        if study == "classify":
            raise UserError(
                f"--model {model}: a run of {name}, a classifier; this takes segmentation models "
                "and detectors"
            )
        return "detect" if study == "detect" else "segment"
    if model.lower().endswith(".json") and not place.is_dir():
        return "detect"
    if place.suffix.lower() in (".onnx", ".xml") and place.is_file():
        return "detect" if _holds(place, DETECTOR) else "segment"
    if model in classifiers() and not place.exists():
        raise UserError(
            f"--model {model}: a classifier; this takes segmentation models and detectors"
        )
    if not place.exists() and len(place.parts) == 1:
        return _nearest(model)
    return "segment"


def check_data(study: StudyName, spec: str, model: str) -> None:
    """Raise UserError where data, by its specification, is for the other study."""
    from triptych.data.open_data import FOLDERS, LABELLED, is_streets
    from triptych.data.open_detection import is_boxed_folder

    if is_streets(spec):
        return
    boxed = is_boxed_folder(spec)
    if boxed and study == "segment":
        raise UserError(
            f"--data {spec} has boxes, for detectors, and {model} is a segmentation model: name a "
            "detector with --model"
        )
    if study == "detect" and spec.partition(":")[0] in (*FOLDERS, LABELLED):
        raise UserError(
            f"--data {spec} has label images, for segmentation models, and {model} is a detector: "
            "name data with boxes, such as voc2007:DIR or streets"
        )


def refuse_options(study: StudyName, given: Mapping[str, bool]) -> None:
    """Raise UserError, naming them, where options are given that only the other study has."""
    named = [option for option, is_given in given.items() if is_given]
    if named:
        other = KINDS["segment" if study == "detect" else "detect"]
        raise UserError(
            f"{', '.join(named)}: only for {other}, and this is {KINDS[study]}; leave out "
            f"{'it' if len(named) == 1 else 'them'}"
        )


def _nearest(name: str) -> StudyName:
    """The study of the name that is most like one that nobody knows, so that it may be named."""
    from difflib import get_close_matches

    from triptych.detect.models import names as detectors
    from triptych.segment.models import names as segmentation_models

    both = [*segmentation_models(), *detectors()]
    near = get_close_matches(name.lower(), both, n=1, cutoff=0.5)
    return "detect" if near and near[0] in detectors() else "segment"


def _holds(file: Path, what: bytes) -> bool:
    from mmap import ACCESS_READ, mmap

    if not file.stat().st_size:
        return False
    with file.open("rb") as opened, mmap(opened.fileno(), 0, access=ACCESS_READ) as content:
        return content.find(what) >= 0
