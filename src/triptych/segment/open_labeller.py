"""From what `--model` says to a model that labels frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.classes import ClassSet
from triptych.errors import UserError
from triptych.exporting import ENDINGS, is_exported
from triptych.segment.abilities import check_scales
from triptych.segment.exported import ExportedLabeller
from triptych.segment.labeller import FrameKey, Labeller
from triptych.segment.models import entry, is_name
from triptych.segment.models.label_folder import LabelFolder
from triptych.segment.models.scales import as_text, checked_scales
from triptych.segment.network import is_network, must_agree, open_network, whose_weights

if TYPE_CHECKING:
    from triptych.inference import Prepared


class NetworkLabeller:
    """A `Labeller` that runs a network."""

    def __init__(
        self,
        name: str,
        classes: ClassSet,
        network: Prepared,
        edges: bool = False,
        scales: Sequence[float] = (),
        weights: str | None = None,
        weights_digest: str | None = None,
    ) -> None:
        self.name = name
        self.edges = edges
        """Whether it predicts boundaries too."""
        self.scales = list(scales) or None
        """At which it looks at a picture, where they may be chosen."""
        self.classes = classes
        self.concurrency = network.concurrency
        self.runtime = str(network.runtime)
        """What was chosen to run it, recorded with every score."""
        self.weights = weights
        """Whose: `published`, of a `file`, or `trained` here; None while they are in training."""
        self.weights_digest = weights_digest
        """Which, see `triptych.inference.choice.weights_digest`."""
        size = network.input_size
        self.size = None if size is None else f"{size[1]}x{size[0]}"
        """WIDTHxHEIGHT to which frames are resized for it; None where they are not."""
        self._network = network

    def labels(
        self,
        images: NDArray[np.uint8],
        keys: Sequence[FrameKey],
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.uint8]:
        """Label maps (N, H, W); see `Labeller.labels`. The network needs no `keys`."""
        return self._network.labels(images, size)

    def labels_and_edges(
        self, images: NDArray[np.uint8], keys: Sequence[FrameKey]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Label maps and boundary maps; see `EdgeLabeller`."""
        return self._network.labels_and_edges(images)

    @property
    def tile(self) -> dict[str, Any] | None:
        """The tiles in which it sees a picture and how far they agree; None where it sees all."""
        tiling = self._network.tiling
        if tiling is None:
            return None
        halo = f"{tiling.halo[1]}x{tiling.halo[0]}"
        agreement = self._network.agreement
        return {
            "size": str(tiling),
            "halo": halo,
            "agreement": agreement.share,
            "agreement_rule": agreement.rule,
        }


def open_labeller(
    model: str,
    *,
    weights: Path | None = None,
    runtime: str = "auto",
    size: tuple[int, int] | None = None,
    device: str = "auto",
    name: str | None = None,
    scales: Sequence[float] | None = None,
    tile: tuple[int, int] | None = None,
) -> Labeller:
    """Open `model`: a registry name, a run folder or one saved by smp, a folder of label images.

    A file that `triptych export` wrote is a model too, on the processor and at its own size.
    Options that could only be ignored are refused.
    `weights` replaces the published weights of a registry name, which are downloaded if they are
    not on this machine. `size` (height, width) is what frames are resized to before a network;
    `runtime` is torch, openvino or auto. `name` is shown instead of the model's own. `scales`
    replaces those of a network that looks at a picture in several sizes; `tile` (height, width)
    has a network see one tile of a picture at a time. Raises UserError where there is no such
    model, its weights do not fit or it has no scales, WorkFailed where the download fails.
    """
    folder = Path(model)
    given = {
        "--size": size is not None,
        "--tile": tile is not None,
        "--scales": scales is not None,
        f"--runtime {runtime}": runtime != "auto",
        f"--device {device}": device not in ("auto", "cpu"),
    }
    if is_label_folder(model):
        if weights is not None:
            raise UserError(f"--weights goes with a model's name, and {model} is a folder")
        _refuse(f"--model {model}: a folder of label images is read, not run", given)
        labels = LabelFolder(folder)
        labels.name = name or labels.name
        return labels
    if is_exported(folder):
        given = {"--weights": weights is not None, **given}
        if folder.suffix.lower() == ENDINGS["openvino"]:
            given.pop("--runtime openvino", None)  # that is what runs it
        _refuse(
            f"--model {model}: an exported file has its weights, size and runtime, and runs on "
            "the processor",
            given,
        )
        return ExportedLabeller(folder, name)
    from triptych.inference import Tiling, prepare
    from triptych.inference.choice import weights_digest

    if scales is not None:
        check_scales([model])
    if tile is not None and is_name(model):
        Tiling.of(tile, entry(model).stride)  # before weights are fetched
    opened = open_network(model, weights)
    known = entry(opened.architecture)
    called = opened.architecture
    digest = weights_digest(opened.model)
    if scales is not None:
        scales = checked_scales(scales)
        setattr(opened.model, "scales", scales)  # noqa: B010 - not every network has them
        called = f"{called} at scales {as_text(scales)}"
    prepared = prepare(
        opened.model,
        opened.normalisation,
        len(opened.classes),
        name=called,
        runtime=runtime,
        device=device,
        input_size=size,
        tile=tile,
        grid=known.stride,
        agreement=must_agree(model, weights),
    )
    return NetworkLabeller(
        name or opened.name,
        opened.classes,
        prepared,
        known.edges,
        scales or known.scales,
        whose_weights(model, weights),
        digest,
    )


def is_label_folder(model: str) -> bool:
    """Whether `--model model` is a folder of label images: any folder that holds no network."""
    folder = Path(model)
    return folder.is_dir() and not is_name(model) and not is_network(folder)


def _refuse(why: str, given: Mapping[str, bool]) -> None:
    """Raise UserError, naming them, where options are given that could only be ignored."""
    if any(given.values()):
        named = ", ".join(option for option, is_given in given.items() if is_given)
        raise UserError(f"{why}; leave out {named}")
