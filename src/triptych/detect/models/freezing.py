"""What of a detector does not learn: said once, in words, and counted."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from triptych.detect.models.detector import Detector
from triptych.errors import UserError

Norm = Literal["train", "frozen"]
"""What BatchNorm does while a detector is trained. `train`: it normalises by the batch, learns, and
keeps running statistics for evaluation. `frozen`: statistics, weights and biases stay what they
were at the start, as in detectors that are trained on one or two pictures at a time from
pre-trained weights (torchvision, detectron2)."""

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")
"""Of a backbone, in the order in which they are frozen; a ResNet's `stem` is its conv1."""
PARTS = (*STAGES, "trunk", "fpn", "rpn", "head")
"""Of a detector; `trunk` is a backbone whose stages cannot be told apart."""


def check_start(init: str, norm: Norm, frozen_stages: int, *, as_ran: bool = False) -> None:
    """Refuse a backbone of random weights that is kept from learning.

    Frozen BatchNorm on random weights normalises nothing, and a frozen random stage stays random:
    a handicap of that arm alone. `as_ran` says that just this is to be measured. Raises UserError.
    """
    if not 0 <= frozen_stages <= len(STAGES):
        raise UserError(f"frozen_stages must be from 0 to {len(STAGES)}, not {frozen_stages}")
    if init != "random" or as_ran:
        return
    frozen = [
        f"norm={norm}" if norm == "frozen" else "",
        f"frozen_stages={frozen_stages}" if frozen_stages else "",
    ]
    if any(frozen):
        raise UserError(
            f"init=random with {' and '.join(filter(None, frozen))} keeps random weights from "
            "learning: --set norm=train --set frozen_stages=0"
        )


def freeze(model: Detector, norm: Norm = "train", frozen_stages: int = 0) -> None:
    """Make learn what should, and nothing else; undoes what an earlier call froze.

    Of the first `frozen_stages` of `STAGES` parameters and BatchNorm statistics are kept; with
    `norm="frozen"` BatchNorm of the whole backbone is. In C4 the last stage, `layer4`, is the head
    of each box. Raises UserError where that is not possible for this backbone.
    """
    stages = set(model.stages.values())
    if not 0 <= frozen_stages <= len(STAGES):
        raise UserError(f"frozen_stages must be from 0 to {len(STAGES)}, not {frozen_stages}")
    if "trunk" in stages and 0 < frozen_stages < len(STAGES):
        raise UserError("the stages of this backbone cannot be told apart: frozen_stages=0 or 5")
    kept = {*STAGES[:frozen_stages], *(("trunk",) if frozen_stages == len(STAGES) else ())}
    still = {ours for name, ours in model.trunk.items() if model.stages[name] in kept}
    norms = model.trunk_norms()
    if norm == "frozen":
        if not norms:
            raise UserError("this backbone has no BatchNorm that could be frozen: norm=train")
        still |= {f"{name}.{each}" for name in norms for each in ("weight", "bias")}
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name not in still)
    model.hold([m for name, m in norms.items() if f"{name}.weight" in still])


def learning(model: Detector) -> dict[str, dict[str, int]]:
    """Part of the detector → its `parameters` and how many of them are `trainable`."""
    still = {name for name, p in model.named_parameters() if not p.requires_grad}
    return _by_part(model, "trainable", still)


def changed(model: Detector, never: Collection[str]) -> dict[str, dict[str, int]]:
    """Part of the detector → its `parameters` and how many of them `changed`, where those of the
    entries `never` did not."""
    return _by_part(model, "changed", never)


def _by_part(model: Detector, what: str, but: Collection[str]) -> dict[str, dict[str, int]]:
    stages = {ours: model.stages[name] for name, ours in model.trunk.items()}
    table = {part: {"parameters": 0, what: 0} for part in PARTS}
    for name, parameter in model.named_parameters():
        part = stages.get(name) or _part(name)
        table[part]["parameters"] += parameter.numel()
        table[part][what] += parameter.numel() * (name not in but)
    return {part: counts for part, counts in table.items() if counts["parameters"]}


def _part(name: str) -> str:
    first, _, rest = name.partition(".")
    return {"rpn": "rpn", "roi_heads": "head"}.get(first) or rest.partition(".")[0]
