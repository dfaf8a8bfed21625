"""InverseForm: what it makes small, in which order, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from triptych.data.classes import VOID
from triptych.data.open_data import open_data
from triptych.segment.inverse.boundary import boundary_maps
from triptych.segment.inverse.edge_head import EdgeHead
from triptych.segment.inverse.homography import COORDINATES, warp
from triptych.segment.inverse.loss import (
    InverseFormLoss,
    JointWeights,
    balanced_cross_entropy,
    joint_loss,
)
from triptych.segment.inverse.networks import InverseNetwork, PublishedInverseNet
from triptych.segment.inverse.shipped import shipped_network

SIDE = 336


@pytest.fixture(scope="module")
def labels() -> Tensor:
    """Label maps of streets that the shipped network was not trained on."""
    frames = open_data(f"streets:scenes=4,frames=1,size={SIDE}x{SIDE},seed=3", "test")
    return torch.stack([torch.from_numpy(frames.load(i)[1]).long() for i in range(len(frames))])


@pytest.fixture(scope="module")
def loss() -> InverseFormLoss:
    return InverseFormLoss(shipped_network())


def moved(truth: Tensor, **values: float) -> Tensor:
    coordinates = torch.tensor([[values.get(name, 0.0) for name in COORDINATES]])
    return warp(truth, coordinates.expand(len(truth), -1), truth.shape[-1])


@pytest.mark.parametrize("along_geodesics", [False, True])
@pytest.mark.parametrize("warp_name", ["shift_x", "shift_y", "rotation", "scale"])
def test_the_farther_the_larger(labels: Tensor, warp_name: str, along_geodesics: bool) -> None:
    loss = InverseFormLoss(shipped_network(), along_geodesics=along_geodesics)
    truth, known = boundary_maps(labels)
    # Of the whole map: a shift of 0.06 half sides is 10 pixels, and so is the corner's way in a
    # rotation by 0.06.
    for sign in (1, -1):
        values = [
            loss(moved(truth, **{warp_name: sign * size}), truth, known).item()
            for size in (0.0, 0.02, 0.04, 0.06)
        ]
        assert values[0] < 0.01 * values[1]  # warping by nothing rounds
        assert values == sorted(values)
        assert values[3] > 1.5 * values[1] > 0


def test_a_few_steps_move_the_edges_nearer(labels: Tensor, loss: InverseFormLoss) -> None:
    truth, known = boundary_maps(labels)
    logits = (8 * moved(truth, shift_x=0.03) - 4).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.3)
    values = []
    for _ in range(15):
        optimiser.zero_grad()
        value = loss(logits.sigmoid(), truth, known)
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < 0.75 * values[0]


def test_the_network_is_frozen_and_nobody_elses(loss: InverseFormLoss, labels: Tensor) -> None:
    before = {name: value.clone() for name, value in loss.network.state_dict().items()}
    head = EdgeHead(3)
    features = torch.rand(len(labels), 3, SIDE // 2, SIDE // 2)
    optimiser = torch.optim.SGD(head.parameters(), lr=0.1)
    terms = joint_loss(
        {"logits": torch.zeros(len(labels), 19, SIDE, SIDE), "edges": head(features)},
        labels,
        pixel_loss=pixel_loss,
        inverse=loss,
        weights=JointWeights(),
    )
    terms["total"].backward()
    optimiser.step()
    assert all(p.grad is not None for p in head.parameters())
    assert not any(p.requires_grad for p in loss.network.parameters())
    assert not any(name.startswith("network") for name in head.state_dict())
    assert all(torch.equal(before[k], v) for k, v in loss.network.state_dict().items())


def test_tiles_without_boundary_do_not_count(labels: Tensor, loss: InverseFormLoss) -> None:
    truth, known = boundary_maps(labels[:1])
    edges = moved(truth, shift_y=0.03)
    alone = loss(edges, truth, known)
    wide = F.pad(truth, (0, SIDE)), F.pad(known, (0, SIDE), value=1)
    # The empty half has false edges, but no boundary to be far from.
    beside = torch.cat([edges, torch.rand(1, 1, SIDE, SIDE)], dim=-1)
    torch.testing.assert_close(loss(beside, *wide), alone)


def test_without_any_boundary_the_loss_is_0_and_so_is_its_gradient(loss: InverseFormLoss) -> None:
    edges = torch.rand(2, 1, 150, 130, requires_grad=True)
    value = loss(edges, torch.zeros(2, 1, 150, 130))
    value.backward()
    assert value.item() == 0
    assert edges.grad is not None
    assert not bool(edges.grad.any())


def test_what_is_predicted_where_nothing_is_known_changes_nothing(
    labels: Tensor, loss: InverseFormLoss
) -> None:
    hidden = labels.clone()
    hidden[:, 100:180] = VOID
    truth, known = boundary_maps(hidden)
    edges = moved(truth, shift_x=0.02)
    noise = torch.where(known > 0, edges, torch.rand_like(edges))
    assert torch.equal(loss(noise, truth, known), loss(edges, truth, known))
    assert not torch.equal(noise, edges)


class Counting(InverseNetwork):
    """Answers how much boundary each of the two maps has."""

    tile = 8
    map_size = (16, 32)
    coefficients = 2

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        return torch.stack([predicted.mean(dim=(1, 2, 3)), true.mean(dim=(1, 2, 3))], dim=1)


def test_maps_are_resized_and_the_norms_averaged() -> None:
    truth = torch.zeros(1, 1, 32, 64)
    truth[..., :16, :16] = 1  # the first of 2 x 4 tiles, after halving
    edges = torch.full((1, 1, 32, 64), 0.75)
    value = InverseFormLoss(Counting())(edges, truth)
    assert value.item() == pytest.approx((0.75**2 + 1) ** 0.5, abs=2e-3)


def test_no_geodesics_without_a_homography() -> None:
    with torch.device("meta"):
        network = PublishedInverseNet()
    with pytest.raises(ValueError, match="4 coefficients"):
        InverseFormLoss(network, along_geodesics=True)


def pixel_loss(logits: Tensor, labels: Tensor) -> Tensor:
    loss = F.cross_entropy(logits, labels, ignore_index=VOID, reduction="sum")
    return loss / (labels != VOID).sum().clamp(min=1)


class Fixed(InverseFormLoss):
    """An inverse term of 2."""

    def __init__(self) -> None:
        super().__init__(Counting())

    def forward(self, edges: Tensor, truth: Tensor, known: Tensor | None = None) -> Tensor:
        assert bool(((edges >= 0) & (edges <= 1)).all())
        return edges.sum() * 0 + 2


def test_the_joint_loss_by_hand() -> None:
    labels = torch.zeros(1, 4, 10, dtype=torch.int64)
    labels[..., 5:] = 1
    labels[:, 0] = VOID
    logits = torch.zeros(1, 2, 4, 10)
    logits[:, 0] = 1.0
    # Sure of the boundary in one half of the picture: 0.88 is above the 0.8 of the attention.
    edges = torch.full((1, 1, 4, 10), -3.0)
    edges[..., :5] = 2.0
    terms = joint_loss(
        {"logits": logits, "aux": torch.zeros(1, 2, 4, 10), "edges": edges},
        labels,
        pixel_loss=pixel_loss,
        inverse=Fixed(),
        weights=JointWeights(),
    )
    right, wrong = (F.softplus(torch.tensor(x)).item() for x in (-1.0, 1.0))
    assert terms["segmentation"].item() == pytest.approx((right + wrong) / 2)
    assert terms["attention"].item() == pytest.approx(right)
    assert terms["aux"].item() == pytest.approx(0.693147, abs=1e-6)
    truth, known = boundary_maps(labels)
    expected = balanced_cross_entropy(edges, truth, known).item()
    assert terms["edges"].item() == pytest.approx(expected)
    assert terms["inverse"].item() == 2
    total = (
        terms["segmentation"]
        + 0.3 * terms["edges"]
        + 0.3 * terms["inverse"]
        + 0.1 * terms["attention"]
        + 0.4 * terms["aux"]
    )
    assert terms["total"].item() == pytest.approx(total.item())


def test_the_auxiliary_pair_is_judged_like_the_main_one() -> None:
    labels = torch.zeros(1, 4, 10, dtype=torch.int64)
    labels[..., 5:] = 1
    generator = torch.Generator().manual_seed(3)
    names = {"logits": 2, "aux": 2, "edges": 1, "aux_edges": 1}
    found = {k: 3 * torch.randn(1, c, 4, 10, generator=generator) for k, c in names.items()}
    given = {"pixel_loss": pixel_loss, "inverse": Fixed(), "weights": JointWeights()}
    terms = joint_loss(found, labels, **given)
    main = joint_loss({k: found[k] for k in ("logits", "edges")}, labels, **given)
    again = joint_loss({"logits": found["aux"], "edges": found["aux_edges"]}, labels, **given)
    assert set(terms) == set(main) | {"aux", "aux_edges", "aux_inverse", "aux_attention"}
    for name in ("edges", "inverse", "attention"):
        assert torch.equal(terms[f"aux_{name}"], again[name])
        assert torch.equal(terms[name], main[name])
    assert torch.equal(terms["aux"], again["segmentation"])
    # As published: the whole joint loss of the main pair and 0.4 of the auxiliary one's.
    expected = main["total"] + 0.4 * again["total"]
    assert terms["total"].item() == pytest.approx(expected.item(), rel=1e-6)
    without = joint_loss(found, labels, **given | {"weights": JointWeights(aux=0)})
    assert torch.equal(without["total"], main["total"])


def test_terms_are_left_out_where_there_is_nothing_to_compute() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.int64)
    logits = {"logits": torch.zeros(1, 2, 8, 8)}
    plain = joint_loss(logits, labels, pixel_loss=pixel_loss, inverse=None, weights=JointWeights())
    assert set(plain) == {"segmentation", "total"}
    assert torch.equal(plain["segmentation"], plain["total"])
    edges = joint_loss(
        logits | {"edges": torch.zeros(1, 1, 4, 4)},
        labels,
        pixel_loss=pixel_loss,
        inverse=None,
        weights=JointWeights(attention=0),
    )
    assert set(edges) == {"segmentation", "edges", "total"}
    with pytest.raises(ValueError, match="edge head"):
        joint_loss(logits, labels, pixel_loss=pixel_loss, inverse=Fixed(), weights=JointWeights())


def test_all_void_gives_0_and_no_nan(loss: InverseFormLoss) -> None:
    outputs = {
        name: torch.randn(2, channels, 40, 40, requires_grad=True)
        for name, channels in (("logits", 3), ("aux", 3), ("edges", 1))
    }
    terms = joint_loss(
        outputs,
        torch.full((2, 40, 40), VOID),
        pixel_loss=pixel_loss,
        inverse=loss,
        weights=JointWeights(),
    )
    assert all(term.item() == 0 for term in terms.values())
    terms["total"].backward()
    assert not any(
        bool(tensor.grad.any()) for tensor in outputs.values() if tensor.grad is not None
    )


def test_balanced_cross_entropy_by_hand() -> None:
    truth = torch.tensor([[[[1.0, 0, 0, 0]]]])
    known = torch.tensor([[[[1.0, 1, 1, 0]]]])
    edges = torch.tensor([[[[0.0, 0, 0, 99]]]])
    # One boundary pixel of weight 2/3, two others of 1/3 each, over three known ones.
    expected = 0.693147 * (2 / 3 + 2 * 1 / 3) / 3
    assert balanced_cross_entropy(edges, truth, known).item() == pytest.approx(expected, abs=1e-6)


def test_edge_head_of_any_width() -> None:
    for channels in (3, 200):
        head = EdgeHead(channels)
        assert head(torch.rand(2, channels, 6, 9)).shape == (2, 1, 6, 9)
