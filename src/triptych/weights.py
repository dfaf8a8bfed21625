"""Published weights: where they are, how they are known to be the right ones, how they load.

Imports torch only when a file is loaded.
"""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from triptych.cache import cache_folder
from triptych.data.download import Patience, download, file_sha256
from triptych.errors import UserError

_LOG = logging.getLogger("triptych")
_TORCH_MAGIC = (b"PK\x03\x04", b"\x80\x02")  # a zip archive; before PyTorch 1.6 a bare pickle
_READABLE = "it must be safetensors or a PyTorch file of weights"


@dataclass(frozen=True)
class Published:
    """One published file of weights."""

    file: str
    """File name, under which it is looked for and kept."""
    address: str | None
    """None where no server has this very file: the user brings it."""
    sha256: str | None
    """None where it is not known: then a download cannot be checked, which is said."""
    licence: str
    claimed: Mapping[str, float]
    """Scores that the authors claim, fractions by the metric's name."""
    claimed_on: str
    source: str
    """Whose they are."""


def weights_folders() -> list[Path]:
    """Where files of weights are looked for: those of `$TRIPTYCH_WEIGHTS`, then the cache."""
    own = os.environ.get("TRIPTYCH_WEIGHTS", "").split(os.pathsep)
    return [*(Path(folder) for folder in own if folder), cache_folder() / "weights"]


def find(published: Published) -> Path | None:
    """The file on this machine, or None; one with another digest is named and passed over."""
    for folder in weights_folders():
        path = folder / published.file
        if not path.is_file():
            continue
        if published.sha256 is None or file_sha256(path) == published.sha256:
            return path
        _LOG.warning("%s is passed over: its sha256 is not %s", path, published.sha256)
    return None


def fetch(published: Published, *, patience: Patience | None = None) -> Path:
    """The file on this machine, downloaded to the cache folder if need be.

    Raises UserError where it has no address, WorkFailed where the download fails or brings
    another file.
    """
    if (path := find(published)) is not None:
        return path
    if published.address is None:
        raise UserError(
            f"{published.file} ({published.source}) cannot be downloaded: put it into a folder "
            "named by TRIPTYCH_WEIGHTS, or give it with --weights FILE"
        )
    target = cache_folder() / "weights" / published.file
    _LOG.info("%s: licence %s, from %s", published.file, published.licence, published.source)
    digest = download(published.address, target, sha256=published.sha256, patience=patience)
    if published.sha256 is None:
        _LOG.warning(
            "%s could not be checked, its digest was never published: sha256 %s", target, digest
        )
    return target


def load(path: Path) -> Mapping[str, object]:
    """What a file of weights holds: tensors by name, maybe under `state_dict`, on the CPU.

    Reads safetensors and PyTorch files. Nothing in a file is ever executed: raises UserError
    where a pickle holds anything but plain weights, and where the file is damaged or no weights.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise UserError(f"{path}: weights cannot be read ({error.strerror})") from None
    if magic.startswith(_TORCH_MAGIC):
        return _load_torch(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged or no file of weights ({error}); {_READABLE}") from None


def _load_torch(path: Path) -> Mapping[str, object]:
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error below says it in one line
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():
            raise UserError(
                f"{path} holds code besides weights and is not loaded; {_READABLE}"
            ) from None
        raise UserError(f"{path} is damaged; {_READABLE}") from None
    except Exception as error:  # torch raises many kinds for a file that is cut or no weights
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{path} is damaged or no file of weights ({reason})") from None
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds a {type(content).__name__}, not weights by name")
    return content
