"""Published weights: where they are, how they are known to be the right ones, how they load.

Imports torch only when a file is loaded.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
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
_BESIDE_WEIGHTS = (
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.ndarray",
    "numpy.dtype",
    "mmengine.logging.history_buffer.HistoryBuffer",
)
"""What training programs keep beside the weights, such as scores; read as `_Omitted`."""


@dataclass(frozen=True)
class Published:
    """One published file of weights."""

    file: str
    """File name, under which it is looked for and kept."""
    address: str | None
    """None where no server has this very file: the user brings it."""
    sha256: str | None
    """In hex, or its first digits, at least 8, where the authors published no more of it. None
    where it is not known: then a download cannot be checked, which is said."""
    licence: str
    claimed: Mapping[str, float]
    """Scores that the authors claim, fractions by the metric's name."""
    claimed_on: str
    source: str
    """Whose they are."""

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{8,64}", self.sha256):
            raise ValueError(f"{self.file}: {self.sha256!r} is no sha256 nor its first digits")


SHIPPED = Path(__file__).parent / "shipped"
"""Weights that this project trained itself and that come with it."""


def weights_folders() -> list[Path]:
    """Where files of weights are looked for: `$TRIPTYCH_WEIGHTS`, the package, the cache."""
    own = os.environ.get("TRIPTYCH_WEIGHTS", "").split(os.pathsep)
    return [*(Path(folder) for folder in own if folder), SHIPPED, cache_folder() / "weights"]


def find(published: Published) -> Path | None:
    """The file on this machine, or None; one with another digest is named and passed over."""
    for folder in weights_folders():
        path = folder / published.file
        if not path.is_file():
            continue
        if published.sha256 is None or file_sha256(path).startswith(published.sha256):
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

    Reads safetensors and PyTorch files. Nothing in a file is ever executed: numpy's objects, which
    training programs keep beside the weights, are left out; raises UserError where a pickle holds
    anything else but plain weights, and where the file is damaged or no weights.
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


class _Omitted:
    """Stands for an object that was not made: takes whatever would make it, and forgets it."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def _load_torch(path: Path) -> Mapping[str, object]:
    import torch

    omitted = torch.serialization.safe_globals([(_Omitted, name) for name in _BESIDE_WEIGHTS])
    try:
        with warnings.catch_warnings(), omitted:
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
