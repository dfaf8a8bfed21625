"""From what `--model` says to a model that labels frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import ClassSet
from triptych.errors import UserError, WorkFailed
from triptych.segment.labeller import FrameKey, Labeller
from triptych.segment.models import ModelEntry, entry, names
from triptych.segment.models.label_folder import LabelFolder
from triptych.weights import fetch, load

if TYPE_CHECKING:
    from torch import nn

    from triptych.inference import Prepared


class NetworkLabeller:
    """A `Labeller` that runs a network."""

    def __init__(self, name: str, classes: ClassSet, network: Prepared) -> None:
        self.name = name
        self.classes = classes
        self.concurrency = network.concurrency
        self.runtime = str(network.runtime)
        """What was chosen to run it, recorded with every score."""
        self._network = network

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        """Label maps (N, H, W); see `Labeller.labels`. The network needs no `keys`."""
        return self._network.labels(images, size)


def open_labeller(
    model: str,
    *,
    weights: Path | None = None,
    runtime: str = "auto",
    size: tuple[int, int] | None = None,
    device: str = "auto",
    name: str | None = None,
) -> Labeller:
    """Open `model`: a registry name, a run folder, or a folder of label images.

    `weights` replaces the published weights of a registry name, which are downloaded if they are
    not on this machine. `size` (height, width) is what frames are resized to before a network;
    `runtime` is torch, openvino or auto. `name` is shown instead of the model's own. Raises
    UserError where there is no such model or its weights do not fit, WorkFailed where the
    download fails.
    """
    folder = Path(model)
    if model in names():
        known = entry(model)
        return _network(
            name or model,
            known,
            known.classes,
            _with_weights(known, weights),
            runtime,
            size,
            device,
        )
    if not folder.is_dir():
        if folder.exists() or len(folder.parts) > 1:
            raise UserError(f"--model {model}: no such folder, and no model's name")
        entry(model)
    if weights is not None:
        raise UserError(f"--weights goes with a model's name, and {model} is a folder")
    if (folder / "recipe.json").exists():
        from triptych.segment.trained import load as load_run

        trained, architecture, classes = load_run(folder)
        return _network(
            name or _run_name(folder), entry(architecture), classes, trained, runtime, size, device
        )
    labels = LabelFolder(folder)
    labels.name = name or labels.name
    return labels


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


def _run_name(folder: Path) -> str:
    """The last two parts of a run folder's path, such as `segment-tiny/seed-0`."""
    return "/".join(folder.resolve().parts[-2:])


def _network(
    name: str,
    known: ModelEntry,
    classes: ClassSet,
    model: nn.Module,
    runtime: str,
    size: tuple[int, int] | None,
    device: str,
) -> Labeller:
    from triptych.inference import prepare

    network = prepare(
        model,
        known.normalisation,
        len(classes),
        name=known.name,
        runtime=runtime,
        device=device,
        input_size=size,
    )
    return NetworkLabeller(name, classes, network)
