"""What a real training would do with a model, in one step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch

from triptych.data.open_data import open_data
from triptych.segment.carried_edges import WithEdges
from triptych.segment.initialise import initialise
from triptych.segment.models.base import SegmentationModel
from triptych.segment.objective import Objective
from triptych.segment.recipes import SegmentRecipe

Boundary = Literal["none", "edges", "inverseform"]
Untrained = Callable[[SegmentationModel, Boundary], tuple[list[str], list[str]]]


@pytest.fixture(scope="session")
def untrained() -> Untrained:
    """A function that sends a batch through a model as a training does, loss and all.

    It returns the names of the parameters that could learn and that the loss does not reach, and
    of those that are frozen.
    """

    def look(model: SegmentationModel, boundary: Boundary) -> tuple[list[str], list[str]]:
        recipe = SegmentRecipe(
            name="segment/test", model="made", data="made", epochs=1, batch_size=2, lr=0.1,
            boundary=boundary,
        )  # fmt: skip
        model.train()
        initialise(model, recipe)
        learner: Any = model if boundary == "none" else WithEdges(model)
        generator = torch.Generator().manual_seed(1)
        outputs = learner.forward_train(torch.randn(2, 3, 64, 96, generator=generator))
        classes = outputs["logits"].shape[1]
        blocks = torch.randint(0, classes, (2, 4, 6), generator=generator)
        labels = blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)
        objective = Objective(recipe, open_data("streets:scenes=1,frames=1,size=32x32", "train"))
        objective(outputs, labels)["total"].backward()
        named = dict(learner.named_parameters())
        missed = [n for n, p in named.items() if p.requires_grad and p.grad is None]
        return missed, [n for n, p in named.items() if not p.requires_grad]

    return look
