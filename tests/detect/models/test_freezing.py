"""What learns: as it is said, and only that."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from triptych.detect.models import create
from triptych.detect.models.detector import Detector, Target
from triptych.detect.models.freezing import STAGES, check_start, freeze, learning
from triptych.errors import UserError


@pytest.mark.parametrize(
    ("norm", "stages", "named"),
    [("frozen", 0, "norm=frozen keeps"), ("train", 2, "frozen_stages=2 keeps"),
     ("frozen", 5, "norm=frozen and frozen_stages=5 keeps")],
)  # fmt: skip
def test_random_weights_that_cannot_learn_are_refused(norm: Any, stages: int, named: str) -> None:
    with pytest.raises(UserError, match=f"init=random with {named} random weights from learning"):
        check_start("random", norm, stages)
    check_start("random", norm, stages, as_ran=True)
    check_start("imagenet", norm, stages)


def test_random_weights_that_learn_are_not() -> None:
    check_start("random", "train", 0)


@pytest.mark.parametrize("stages", [-1, 6])
def test_stages_that_are_not_there_are_refused(small: Detector, stages: int) -> None:
    with pytest.raises(UserError, match=f"frozen_stages must be from 0 to 5, not {stages}"):
        check_start("imagenet", "train", stages)
    with pytest.raises(UserError, match=f"frozen_stages must be from 0 to 5, not {stages}"):
        freeze(small, "train", stages)


def moved(model: Detector, images: list[Tensor], targets: list[Target]) -> set[str]:
    """Entries of the state that an update with a large learning rate changes."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learns = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(learns, lr=1.0, weight_decay=0.1)
    found = model.train()(images, targets)
    assert isinstance(found, dict)
    torch.stack(list(found.values())).sum().backward()
    optimiser.step()
    after = model.state_dict()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


@pytest.mark.parametrize("norm", ["train", "frozen"])
@pytest.mark.parametrize("stages", [0, 2, 5])
def test_an_update_moves_what_is_said_to_learn_and_nothing_else(
    small: Detector, images: list[Tensor], targets: list[Target], norm: Any, stages: int
) -> None:
    freeze(small, norm, stages)
    still = {
        ours
        for name, ours in small.trunk.items()
        if small.stages[name] in STAGES[:stages] or (norm == "frozen" and ".bn" in f".{name}")
    }
    everything = set(small.state_dict())
    assert moved(small, images, targets) == everything - still


def test_freezing_again_undoes_what_was_frozen(
    small: Detector, images: list[Tensor], targets: list[Target]
) -> None:
    freeze(small, "frozen", 5)
    freeze(small)
    assert moved(small, images, targets) == set(small.state_dict())


def test_what_learns_is_counted_by_part(small: Detector) -> None:
    freeze(small, "frozen", 3)
    table = learning(small)
    assert list(table) == [*STAGES, "fpn", "rpn", "head"]
    assert {part for part, counts in table.items() if not counts["trainable"]} == set(STAGES[:3])
    parameters = list(small.parameters())
    assert sum(c["parameters"] for c in table.values()) == sum(p.numel() for p in parameters)
    assert sum(c["trainable"] for c in table.values()) == sum(
        p.numel() for p in parameters if p.requires_grad
    )


def test_c4s_last_stage_is_its_head() -> None:
    with torch.device("meta"):
        model = create("frcnn-r50-c4")
    freeze(model, "train", 5)
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    heads = {n for n in frozen if n.startswith("roi_heads.")}
    assert heads == {n for n, _ in model.named_parameters() if ".box_head.layer4." in n}
    assert len(frozen) > len(heads) > 0
    assert learning(model)["head"]["trainable"] > 0


def test_where_stages_or_norms_are_missing_it_is_said(small: Detector) -> None:
    small.stages = dict.fromkeys(small.stages, "trunk")
    with pytest.raises(UserError, match="cannot be told apart: frozen_stages=0 or 5"):
        freeze(small, "train", 2)
    freeze(small, "train", 5)
    assert learning(small)["trunk"]["trainable"] == 0
    with torch.device("meta"):
        small.backbone.body = torch.nn.Identity()
    with pytest.raises(UserError, match="no BatchNorm that could be frozen: norm=train"):
        freeze(small, "frozen")
