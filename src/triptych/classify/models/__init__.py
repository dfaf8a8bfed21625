"""Classification models by name: what each is, and how to make one.

Nothing here imports torch before a model is made, so that listing models is immediate.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from triptych.classify.models.listing import describe, records
from triptych.classify.models.near import describe_near, near
from triptych.classify.models.registry import ENTRIES, ModelEntry
from triptych.errors import UserError
from triptych.own_model import check, is_own

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "ModelEntry",
    "create",
    "describe",
    "describe_near",
    "entry",
    "names",
    "near",
    "records",
    "set_drop_path",
]


def names() -> tuple[str, ...]:
    """Our models' names, in the order of the table that `triptych models` prints."""
    return tuple(ENTRIES)


def entry(name: str) -> ModelEntry:
    """What is known of one of our models. Raises UserError with the nearest names otherwise."""
    if name in ENTRIES:
        return ENTRIES[name]
    raise _unknown(name, names())


def known(name: str) -> None:
    """Raise UserError, with the nearest names, unless the name is one of ours or of timm's.

    One of the form `PATH.py:FUNCTION` is looked up in its file, see `own_model`.
    """
    if name in ENTRIES:
        return
    if is_own(name):
        check(name)
        return
    import timm

    if not timm.is_model(name):
        raise _unknown(name, (*names(), *timm.list_models()))


def create(
    name: str, *, classes: int = 100, image_size: int = 32, drop_path: float = 0.0
) -> nn.Module:
    """One of our models or any of timm's, with freshly drawn weights, in training mode.

    Maps normalised images (N, 3, image_size, image_size) to logits (N, classes). Weights are drawn
    from torch's global generator. `drop_path` is the stochastic depth of the last block, see
    `set_drop_path`. Never fetches weights. Of a name of the form `PATH.py:FUNCTION` the function in
    that file makes the model. Raises UserError for an unknown name, a size that the model cannot
    take, numbers out of range, and a file that makes no such model.
    """
    if classes < 1:
        raise UserError(f"a model needs at least one class, not {classes}")
    if image_size < 1:
        raise UserError(f"an image needs at least one pixel, not a side of {image_size}")
    if name in ENTRIES:
        ours = ENTRIES[name]
        if image_size % ours.patch:
            raise UserError(
                f"{name} cuts images into patches of {ours.patch}×{ours.patch}, which does not "
                f"divide a side of {image_size}: choose a multiple of {ours.patch}"
            )
        model = ours.builder(classes, image_size)
    elif is_own(name):
        from triptych.classify.models.from_file import from_file

        model = from_file(name, classes, image_size, drop_path).train()
    else:
        from triptych.classify.models.from_timm import working_from_timm

        known(name)
        model = working_from_timm(name, classes, image_size)
    set_drop_path(model, drop_path)
    return model


def set_drop_path(model: nn.Module, rate: float) -> None:
    """Set the probability, per sample, with which the last residual branch is dropped.

    Earlier branches get their share of it, rising linearly with depth. For models that `create`
    returned, before or while they train. Raises UserError where the rate is outside [0, 1), or is
    not 0 and the model has no stochastic depth.
    """
    from triptych.classify.models.drop_path import set_drop_path

    set_drop_path(model, rate)


def _unknown(name: str, known: tuple[str, ...]) -> UserError:
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ENTRIES)}"
    return UserError(f"no classification model is called {name!r}; {hint}")
