"""From what `--model` says to a network with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.data.classes import ClassSet
from triptych.errors import UserError, WorkFailed
from triptych.exporting import ENDINGS
from triptych.normalisation import Normalisation
from triptych.own_model import without_place
from triptych.segment.models import ModelEntry, entry, is_name
from triptych.segment.models.smp_folder import is_smp_folder, load_smp_folder
from triptych.weights import fetch, load

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Network:
    """A network with its weights, and what one must know to use it."""

    name: str
    """The registry's, of a model of a file without its folder, or of a run folder the last two
    parts of its path."""
    architecture: str
    """The registry's name."""
    model: nn.Module
    normalisation: Normalisation
    classes: ClassSet
    """The first of its logits, in this order; what comes after them is no prediction."""
    licence: str | None = None
    """Of its weights, where they are the published ones."""


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, trained or not."""
    return (folder / "recipe.json").exists()


def is_network(folder: Path) -> bool:
    """Whether a folder holds a network: of a run, or saved by segmentation-models-pytorch."""
    return is_run(folder) or is_smp_folder(folder)


def open_network(model: str, weights: Path | None = None) -> Network:
    """Open `model`: a registry name, a run folder, or a folder that smp's `save_pretrained` made.

    `weights` replaces the published weights of a registry name, which are downloaded if they are
    not on this machine. Raises UserError where there is no such model or its weights do not fit,
    WorkFailed where the download fails.
    """
    check_network(model, weights)
    folder = Path(model)
    name = network_name(model)
    if is_name(model):
        known = entry(model)
        with_weights = _with_weights(known, weights)
        licence = known.weights.licence if known.weights and weights is None else None
        return Network(name, model, with_weights, known.normalisation, known.classes, licence)
    if is_smp_folder(folder):
        saved, architecture, normalisation, classes = load_smp_folder(folder)
        return Network(name, architecture, saved, normalisation, classes)
    from triptych.segment.trained import load as load_run

    trained, architecture, classes = load_run(folder)
    normalisation = entry(architecture).normalisation
    return Network(name, architecture, trained, normalisation, classes)


def check_network(model: str, weights: Path | None = None) -> None:
    """Raise UserError where `open_network` could not know what is meant. Opens nothing."""
    folder = Path(model)
    if is_name(model):
        return
    if not folder.is_dir():
        if folder.suffix.lower() in ENDINGS.values():
            if not folder.exists():
                raise UserError(f"--model {model}: no such file")
            raise UserError(
                f"--model {model}: an exported file, which predict and evaluate take; name the "
                "model or the run folder that it was made of"
            )
        if folder.exists() or len(folder.parts) > 1:
            raise UserError(f"--model {model}: no such folder, and no model's name")
        entry(model)
    if weights is not None:
        raise UserError(f"--weights goes with a model's name, and {model} is a folder")
    if not is_network(folder):
        raise UserError(f"--model {model}: not the folder of a run, and no model's name")


def must_agree(model: str, weights: Path | None = None) -> float:
    """The share of labels on which a reduced precision must agree to be chosen for speed.

    Less for a model of the registry whose own weights were checked on labelled frames. It is for
    trained weights: logits of random ones have no clear winners, and labels say nothing of them.
    """
    from triptych.inference import AGREEMENT

    known = entry(model).agreement if is_name(model) and weights is None else None
    return AGREEMENT if known is None else known


def whose_weights(model: str, weights: Path | None = None) -> str:
    """Whose weights `open_network` takes: `published`, those of a `file`, or `trained` here."""
    if weights is not None:
        return "file"
    return "published" if is_name(model) else "trained"


def untrained_network(name: str) -> Network:
    """The model of the registry with weights drawn at random, always the same ones."""
    import torch

    known = entry(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = known.builder(known.outputs)
    return Network(network_name(name), name, model.eval(), known.normalisation, known.classes)


def network_name(model: str) -> str:
    """The name that `open_network` gives to `model`."""
    folder = Path(model)
    if is_name(model):
        return without_place(model)
    return folder.resolve().name if is_smp_folder(folder) else run_name(folder)


def run_name(folder: Path) -> str:
    """The last two parts of a run folder's path, such as `segment-tiny/seed-0`."""
    return "/".join(folder.resolve().parts[-2:])


def _with_weights(known: ModelEntry, weights: Path | None) -> nn.Module:
    """The model of the registry with published weights, from a file or wherever they are."""
    if weights is None and known.weights is None:
        raise UserError(
            f"{known.name} has no published weights: give its run folder, or --weights FILE"
        )
    if weights is None and known.weights is not None:
        try:
            weights = fetch(known.weights)
        except WorkFailed as error:
            raise WorkFailed(
                f"{error}; a file on this machine is taken by --weights FILE"
            ) from None
    assert weights is not None
    model = known.builder(known.outputs)
    content = load(weights)
    try:
        model.load_published(content)
    except UserError as error:
        raise UserError(f"{weights}: {error}") from None
    return model
