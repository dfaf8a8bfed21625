"""Inverse networks ready for the loss: the one in this package, a run's, the published one."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

from safetensors.torch import load_file

from triptych.data.download import file_sha256
from triptych.errors import UserError, WorkFailed
from triptych.run import newest_checkpoint, read_json
from triptych.segment.inverse.networks import InverseNet, InverseNetwork, PublishedInverseNet
from triptych.segment.inverse.recipe import MODEL, THE_PUBLISHED
from triptych.shipping import write_shipped
from triptych.weights import Published, fetch, load

FILE = "weights/inverse.safetensors"
"""Within this package; `ship` writes it."""

PUBLISHED = Published(
    file="distance_measures_regressor.pth",
    address="https://github.com/Qualcomm-AI-research/InverseForm/releases/download/v1.0/"
    "distance_measures_regressor.pth",
    sha256=None,
    licence="BSD-3-Clause-Clear",
    claimed={},
    claimed_on="",
    source="Borse 2021, InverseForm (Qualcomm-AI-research/InverseForm)",
)


def shipped_network() -> InverseNet:
    """The inverse network that comes with this package, trained by `segment/inverse` on streets.

    Raises WorkFailed where the package lacks its weights.
    """
    network = InverseNet()
    with as_file(files("triptych.segment.inverse") / FILE) as file:
        if not file.is_file():
            raise WorkFailed(f"{file} is missing: install triptych again")
        network.load_state_dict(load_file(file))  # from half precision
    return network.eval()


def chosen_network(source: str) -> InverseNetwork:
    """The network that a recipe names: `published`, or the folder of a run of an inverse recipe.

    Raises UserError for anything else, and as `published_network` and `trained_network` do.
    """
    return published_network() if source == THE_PUBLISHED else trained_network(Path(source))


def digest(source: str) -> str:
    """The sha256 of the weights of `chosen_network(source)`. Raises as that does."""
    return file_sha256(fetch(PUBLISHED) if source == THE_PUBLISHED else _weights_of(Path(source)))


def trained_network(folder: Path) -> InverseNet:
    """The network of a run of an inverse recipe. Raises UserError for another folder."""
    network = InverseNet()
    network.load_state_dict(load_file(_weights_of(folder)))
    return network.eval()


def _weights_of(folder: Path) -> Path:
    if not (folder / "recipe.json").is_file():
        raise UserError(
            f"{folder} is no run of an inverse network: train one by triptych train "
            f"segment/inverse, or --set inverse_network={THE_PUBLISHED}"
        )
    model = read_json(folder / "recipe.json").get("recipe", {}).get("model")
    if model != MODEL:
        raise UserError(f"{folder} is a run of the model '{model}', not of an inverse network")
    return newest_checkpoint(folder) / "model.safetensors"


def published_network(weights: Path | None = None) -> PublishedInverseNet:
    """The network of Borse 2021 with the published weights, downloaded where they are not given.

    Raises UserError where the file is not of this network, WorkFailed where it cannot be had.
    """
    network = PublishedInverseNet()
    network.load_published(load(weights or fetch(PUBLISHED)))
    return network.eval()


def ship(folder: Path, file: Path) -> None:
    """Write a run's network as the file that `shipped_network` reads.

    Raises UserError where the folder is no run of an inverse network that ended.
    """
    write_shipped(trained_network(folder), folder, file)
