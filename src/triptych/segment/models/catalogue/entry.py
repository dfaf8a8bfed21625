"""What is known of a model before it is made. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.data.classes import ClassSet
from triptych.normalisation import Normalisation
from triptych.weights import Published

if TYPE_CHECKING:
    from triptych.segment.models.base import SegmentationModel


@dataclass(frozen=True)
class ModelEntry:
    """One line of the table."""

    name: str
    builder: Callable[[int], SegmentationModel]
    """Makes the model with that many outputs."""
    classes: ClassSet
    outputs: int
    """Logits of the published weights; those past the classes (void) are no prediction."""
    parameters: int
    """With that many outputs."""
    normalisation: Normalisation
    weights: Published | None
    """None for a model that only ever is trained from scratch."""
    paper: str
    peak_memory_gib: float | None = None
    """Of a process that labels one 2048x1024 picture, whole, in float32 with PyTorch on the CPU."""
    scales: tuple[float, ...] = ()
    """Sizes in which it looks at a picture where nothing else is asked for; none: at one only."""
    agreement: float | None = None
    """Where its weights in bfloat16 were checked on labelled frames (as `docs/` says): the share
    of labels on a picture of noise that is then enough for them to be chosen for speed."""
    stride: int = 32
    """Of its coarsest maps, or a multiple of it: tiles of a picture begin at its multiples."""
    edges: bool = False
    """Whether it predicts boundaries beside classes."""
