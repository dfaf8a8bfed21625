"""What a detector started from, as its run records it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

INIT = "init.json"
"""Where a run keeps it."""
FRESH_PARTS = ("fpn", "rpn", "head")
"""Parts of a detector that are drawn in every arm."""
_NAMED = 3  # entries named in a line: enough to recognise an architecture by


@dataclass(frozen=True)
class Loaded:
    """What came into a backbone."""

    matched: int
    """How many entries of the backbone were loaded."""
    share: float
    """Of the backbone's parameters, those that were loaded."""
    fresh: tuple[str, ...]
    """Entries of the backbone that stay as they were drawn, by torchvision's or timm's names."""
    matched_entries: tuple[str, ...] = ()
    """Entries of the backbone that were loaded, by torchvision's or timm's names."""
    left_out: tuple[str, ...] = ()
    """Entries of the file that were not used, by their names there."""
    source: str | None = None
    """Whose weights they are; None where all is drawn."""
    licence: str | None = None
    file: str | None = None
    """Its name, for a run with those of its folder and checkpoint."""
    sha256: str | None = None
    folded: bool = False
    """Whether BatchNorm is folded into the convolutions."""
    without_eps: bool = False
    """Whether BatchNorm was made to compute what it would with an eps of 0, as it was trained."""
    seen: str | None = None
    """What the weights have seen that a comparison must say."""


@dataclass(frozen=True)
class InitRecord:
    """What a detector starts from."""

    init: str
    norm: str
    frozen_stages: int
    loaded: Loaded
    statistics_images: int
    """Training pictures that BatchNorm's statistics were taken from; 0 leaves them."""
    learning: dict[str, dict[str, int]]
    """Part of the detector → its `parameters` and how many are `trainable`."""

    def as_json(self) -> dict[str, Any]:
        record = asdict(self)
        loaded = {k: list(v) if isinstance(v, tuple) else v for k, v in record["loaded"].items()}
        return record | {"loaded": loaded, "fresh_parts": list(FRESH_PARTS)}

    def describe(self) -> str:
        """One line for a person."""
        loaded = self.loaded
        if loaded.source is None:
            parts = ["backbone: random weights"]
        else:
            licence = f", licence {loaded.licence}" if loaded.licence else ""
            parts = [
                f"backbone: {loaded.share:.1%} of its parameters from {loaded.source} "
                f"({loaded.matched} entries of {loaded.file}{licence})",
                f"left out: {some(loaded.left_out)}",
                f"freshly drawn: {some((*loaded.fresh, *FRESH_PARTS))}",
            ]
        if loaded.without_eps:
            parts.append("BatchNorm as it was trained, with an eps of 0")
        if self.statistics_images:
            parts.append(f"BatchNorm's statistics from {self.statistics_images} training pictures")
        total, trainable = (
            sum(each[key] for each in self.learning.values()) for key in ("parameters", "trainable")
        )
        parts.append(f"{trainable:,} of {total:,} parameters are trained")
        return "; ".join(parts)


def some(names: Sequence[str]) -> str:
    """The first of some names, and how many there are."""
    if not names:
        return "nothing"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
