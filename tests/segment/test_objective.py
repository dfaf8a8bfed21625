"""The loss of a recipe: against PyTorch's own, with void, and with what a recipe asks for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from triptych.data.classes import VOID, ClassSet
from triptych.data.labelled import Image, LabelMap
from triptych.segment import objective
from triptych.segment.inverse.networks import InverseNet
from triptych.segment.objective import Objective, pixel_loss
from triptych.segment.recipes import SegmentRecipe
from triptych.segment.weighting import class_weights

CLASSES = 4


class Frames:
    """One frame whose classes cover 70, 20, 10 and 0 pixels."""

    name, split, keys, groups = "made", "train", ("f",), ("d",)
    classes = ClassSet("four", tuple("abcd"), tuple((n, n, n) for n in range(CLASSES)))

    def __len__(self) -> int:
        return 1

    def load(self, index: int) -> tuple[Image, LabelMap]:
        label = np.repeat(np.array([0, 1, 2], np.uint8), [70, 20, 10]).reshape(10, 10)
        return np.zeros((10, 10, 3), np.uint8), label

    def fingerprint(self) -> str:
        return ""


@pytest.fixture(autouse=True)
def _drawn_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """An inverse network with drawn weights: what it knows is no matter here."""

    def network() -> InverseNet:
        torch.manual_seed(5)
        return InverseNet()

    monkeypatch.setattr(objective, "shipped_network", network)


def made(**changes: Any) -> Objective:
    recipe = SegmentRecipe(
        name="segment/test", model="tiny", data="made", epochs=1, batch_size=2, lr=0.1, **changes
    )
    return Objective(recipe, Frames())


def labels(void: float = 0.2, size: tuple[int, int] = (40, 56)) -> Tensor:
    """Two maps of blocks of 8 pixels, some of them void."""
    generator = torch.Generator().manual_seed(2)
    blocks = torch.randint(0, CLASSES, (2, size[0] // 8, size[1] // 8), generator=generator)
    blocks[torch.rand(blocks.shape, generator=generator) < void] = VOID
    return blocks.repeat_interleave(8, 1).repeat_interleave(8, 2)


def outputs(seed: int = 0, **more: tuple[int, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"logits": (2, CLASSES, 40, 56), **more}
    return {
        name: (3 * torch.randn(shape, generator=generator)).requires_grad_()
        for name, shape in shapes.items()
    }


class TestPixelLoss:
    @pytest.mark.parametrize("void", [0.0, 0.3, 0.9])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_it_is_pytorchs_mean(self, void: float, weighted: bool) -> None:
        weights = torch.tensor([0.3, 1.0, 4.0, 9.0]) if weighted else None
        truth = labels(void)
        ours, theirs = outputs()["logits"], outputs()["logits"]
        loss = pixel_loss(ours, truth, weights)
        expected = F.cross_entropy(theirs, truth, weights, ignore_index=VOID)
        torch.testing.assert_close(loss, expected)
        loss.backward()
        expected.backward()
        torch.testing.assert_close(ours.grad, theirs.grad)

    def test_by_hand(self) -> None:
        # Probabilities of the true class 1/2, 1/4 and 3/4, the last pixel is void.
        logits = torch.tensor([[0.0, 0.0, 0.0, 5.0], [0.0, 3.0, 3.0, -5.0]])
        logits[1, 1:3] = torch.tensor(3.0).log()
        truth = torch.tensor([[[0, 0, 1, VOID]]])
        nats = [2.0, 4.0, 4 / 3]
        expected = np.log(nats)
        loss = pixel_loss(logits.view(1, 2, 1, 4), truth)
        assert loss.item() == pytest.approx(expected.mean(), rel=1e-6)
        weighted = pixel_loss(logits.view(1, 2, 1, 4), truth, torch.tensor([1.0, 5.0]))
        assert weighted.item() == pytest.approx((expected * [1, 1, 5]).sum() / 7, rel=1e-6)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_all_void_is_0_with_a_gradient_of_0(self, weighted: bool) -> None:
        logits = outputs()["logits"]
        weights = torch.ones(CLASSES) if weighted else None
        loss = pixel_loss(logits, torch.full((2, 40, 56), VOID), weights)
        assert loss.item() == 0
        loss.backward()
        assert logits.grad is not None
        assert (logits.grad == 0).all()

    def test_a_factor_on_all_weights_changes_nothing(self) -> None:
        logits, weights = outputs()["logits"], torch.tensor([0.3, 1.0, 4.0, 9.0])
        torch.testing.assert_close(
            pixel_loss(logits, labels(), weights), pixel_loss(logits, labels(), 7 * weights)
        )


class TestObjective:
    def test_without_more_it_is_the_cross_entropy(self) -> None:
        found = outputs()
        terms = made()(found, labels())
        expected = F.cross_entropy(found["logits"], labels(), ignore_index=VOID)
        assert set(terms) == {"segmentation", "total"}
        for term in terms.values():
            torch.testing.assert_close(term, expected)

    @pytest.mark.parametrize("weighting", ["log", "median"])
    def test_weights_are_those_of_the_training_split(self, weighting: Any) -> None:
        asked = made(class_weights=weighting)
        assert asked.weights is not None
        expected = class_weights(weighting, np.array([70, 20, 10, 0]))
        torch.testing.assert_close(asked.weights, expected)
        found = outputs()
        torch.testing.assert_close(
            asked(found, labels())["total"],
            F.cross_entropy(found["logits"], labels(), expected, ignore_index=VOID),
        )

    def test_the_second_prediction_counts_0_4(self) -> None:
        found = outputs(aux=(2, CLASSES, 40, 56))
        terms = made()(found, labels())
        aux = F.cross_entropy(found["aux"], labels(), ignore_index=VOID)
        torch.testing.assert_close(terms["aux"], aux)
        torch.testing.assert_close(terms["total"], terms["segmentation"] + 0.4 * aux)

    def test_what_each_boundary_setting_learns(self) -> None:
        found = outputs(edges=(2, 1, 20, 28))
        terms = {b: made(boundary=b)(found, labels()) for b in ("none", "edges", "inverseform")}
        plain = {"segmentation", "total"}
        assert set(terms["none"]) == plain
        assert set(terms["edges"]) == plain | {"edges", "attention"}
        assert set(terms["inverseform"]) == plain | {"edges", "attention", "inverse"}
        known = terms["inverseform"]
        assert known["inverse"] > 0
        torch.testing.assert_close(
            known["total"],
            known["segmentation"]
            + 0.3 * known["edges"] + 0.3 * known["inverse"] + 0.1 * known["attention"],
        )  # fmt: skip
        for name in ("segmentation", "edges", "attention"):
            torch.testing.assert_close(terms["edges"][name], known[name])

    def test_a_models_own_edges_count_only_where_it_is_asked(self) -> None:
        edges = dict.fromkeys(("edges", "aux_edges"), (2, 1, 40, 56))
        found = outputs(**edges)
        loss = made()(found, labels())["total"]
        torch.testing.assert_close(loss, pixel_loss(found["logits"], labels()))
        loss.backward()
        assert all(found[name].grad is None for name in edges)
        found = outputs(**edges, aux=(2, CLASSES, 40, 56))
        made(boundary="edges")(found, labels())["total"].backward()
        for name in edges:
            grad = found[name].grad
            assert grad is not None
            assert bool(grad.any())

    @pytest.mark.parametrize("weighting", ["none", "log"])
    def test_all_void_is_0_in_every_term(self, weighting: Any) -> None:
        found = outputs(aux=(2, CLASSES, 40, 56), edges=(2, 1, 40, 56))
        asked = made(boundary="inverseform", class_weights=weighting)
        terms = asked(found, torch.full((2, 40, 56), VOID))
        assert {name: term.item() for name, term in terms.items()} == dict.fromkeys(terms, 0.0)
        terms["total"].backward()
        for each in found.values():
            assert each.grad is not None
            assert (each.grad == 0).all()

    def test_half_precision_outputs_are_taken_in_full(self) -> None:
        found = {k: v.detach().bfloat16() for k, v in outputs(edges=(2, 1, 40, 56)).items()}
        terms = made(boundary="inverseform")(found, labels())
        assert {term.dtype for term in terms.values()} == {torch.float32}
        exact = made(boundary="inverseform")({k: v.float() for k, v in found.items()}, labels())
        for name, term in terms.items():
            torch.testing.assert_close(term, exact[name])

    def test_the_inverse_network_does_not_learn(self) -> None:
        asked = made(boundary="inverseform")
        assert not any(p.requires_grad for p in asked.parameters())
        found = outputs(edges=(2, 1, 40, 56))
        asked.train()(found, labels())["inverse"].backward()
        assert found["edges"].grad is not None
        assert (found["edges"].grad != 0).any()
