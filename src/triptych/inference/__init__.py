"""A segmentation model made fast for this machine: pictures in, logits or label maps out."""

from __future__ import annotations

from torch import nn

from triptych.errors import UserError
from triptych.inference.choice import AGREEMENT, candidates, choose
from triptych.inference.pipeline import Size
from triptych.inference.prepared import Prepared, Runtime
from triptych.inference.tiles import GRID, Tiling
from triptych.normalisation import Normalisation
from triptych.training.device import pick_device

__all__ = ["AGREEMENT", "Prepared", "Runtime", "Size", "Tiling", "prepare"]


def prepare(
    model: nn.Module,
    normalisation: Normalisation,
    classes: int,
    *,
    name: str,
    runtime: str = "auto",
    device: str = "auto",
    input_size: Size | None = None,
    tile: Size | None = None,
    grid: int = GRID,
    agreement: float = AGREEMENT,
) -> Prepared:
    """Make `model` fast: on torch or openvino, or `auto`, whichever is faster here.

    `classes` is how many of the model's logits are classes, `name` what it is called in the
    record of measurements, `input_size` what pictures are resized to before the model, `tile` the
    size of the tiles in which the model then sees them, by default whole, and `grid` what they
    begin at multiples of (see `Tiling.of`). `agreement` is the share of a picture's labels on
    which a reduced precision must agree with float32. Raises UserError for an unknown device or
    runtime, for openvino on anything but the processor, and for tiles of a size that cannot be.
    """
    tiling = None if tile is None else Tiling.of(tile, grid)
    place = pick_device(device)
    if runtime not in ("auto", "torch", "openvino"):
        raise UserError(f"--runtime {runtime}: write auto, torch or openvino")
    if runtime == "openvino" and place.type != "cpu":
        raise UserError(f"--runtime openvino runs on the processor, not on {place}: --device cpu")

    def on(choice: Runtime) -> Prepared:
        return Prepared(
            model,
            normalisation,
            classes,
            runtime=choice,
            device=place,
            input_size=input_size,
            tiling=tiling,
        )

    called = name if tiling is None else f"{name} in tiles of {tiling}"
    prepared = choose(
        on,
        candidates(runtime, place),
        name=called,
        model=model,
        size=input_size,
        device=place,
        agreement=agreement,
    )
    prepared.agreement.forget()  # what was labelled to measure
    return prepared
