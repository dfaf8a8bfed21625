"""Weights of a backbone found in any file that holds it, by the names of torchvision or timm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

_WRAPPERS = ("state_dict", "model", "model_ema")
"""Under which training programs keep weights beside other things."""
_STATISTICS = ("running_mean", "running_var")


@dataclass(frozen=True)
class Match:
    """What of a backbone a file holds."""

    state: dict[str, Tensor]
    """The backbone's entries that were found, by its own names."""
    left_out: tuple[str, ...]
    """Names in the file that are none of the backbone's, or of another shape."""
    fresh: tuple[str, ...]
    """The backbone's entries that were not found."""
    share: float
    """Of the backbone's parameters, those that were found; running statistics do not count."""


def match(own: Mapping[str, Tensor], given: Mapping[str, object]) -> Match:
    """Look up the backbone's entries `own` in a file's content.

    The file may hold them below any prefix (`backbone.body.`, `trunk.net.`, `module.`), among
    others: the prefix below which most is found is taken. BatchNorm's step counters, which came
    late to PyTorch and are not always there, do not count.
    """
    wanted = {n: v for n, v in own.items() if not n.endswith("num_batches_tracked")}
    tensors = tensors_of(given)
    first = next(iter(wanted))
    prefixes = {
        name.removesuffix(first) for name in tensors if name == first or name.endswith(f".{first}")
    }

    def found(prefix: str) -> dict[str, Tensor]:
        return {
            name: tensors[prefix + name]
            for name, value in wanted.items()
            if prefix + name in tensors and tensors[prefix + name].shape == value.shape
        }

    prefix = max(sorted(prefixes), key=lambda each: _size(found(each)), default="")
    state = found(prefix)
    return Match(
        state=state,
        left_out=tuple(
            name
            for name in tensors
            if name.removeprefix(prefix) not in state or not name.startswith(prefix)
            if not name.endswith("num_batches_tracked")
        ),
        fresh=tuple(name for name in wanted if name not in state),
        share=_size(state) / _size(wanted),
    )


def _size(state: Mapping[str, Tensor]) -> int:
    """How many parameters that is: statistics and tables of indices are none."""
    return sum(
        value.numel()
        for name, value in state.items()
        if value.is_floating_point() and not name.endswith(_STATISTICS)
    )


def tensors_of(content: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of a file by name, where a training program keeps them beside other things."""
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping):
            content = inner
            break
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
