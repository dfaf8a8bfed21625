"""InverseForm as a loss, and the joint loss of labels and boundaries (Borse 2021)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from triptych.data.classes import VOID
from triptych.segment.inverse.boundary import boundary_maps
from triptych.segment.inverse.homography import euclidean, geodesic
from triptych.segment.inverse.networks import InverseNetwork
from triptych.segment.inverse.tiles import enough_boundary, tiles
from triptych.segment.models.resize import resize, resize_to

ATTENTION = 0.8
"""Probability above which a pixel counts as predicted boundary in the attention term."""


@dataclass(frozen=True, kw_only=True)
class JointWeights:
    """Weights of the terms of `joint_loss`; a term of weight 0 is not computed."""

    segmentation: float = 1.0
    edges: float = 0.3
    inverse: float = 0.3
    attention: float = 0.1
    aux: float = 0.4

    def of(self, term: str) -> float:
        """The weight of a term by its name. The boundary terms of the auxiliary prediction, such
        as `aux_edges`, weigh as those of the main one times `aux`."""
        main = term.removeprefix("aux_")
        weight: float = getattr(self, main)
        return weight if main == term else self.aux * weight


class InverseFormLoss(nn.Module):
    """How far predicted boundaries are from the true ones, as homographies of tiles.

    The network is frozen and belongs to this module alone, so it is in no optimiser and in no
    checkpoint of the model that is trained. With `along_geodesics` the distance of a homography
    is that in the group of homographies, else the Euclidean norm of its coefficients.
    """

    def __init__(self, network: InverseNetwork, *, along_geodesics: bool = False) -> None:
        super().__init__()
        if along_geodesics and network.coefficients != 8:
            raise ValueError(f"{network.coefficients} coefficients are not a homography: 8 are")
        self.network = network.eval().requires_grad_(False)
        self._distance = geodesic if along_geodesics else euclidean

    def forward(self, edges: Tensor, truth: Tensor, known: Tensor | None = None) -> Tensor:
        """Mean distance over the tiles that hold enough boundary; 0 where none does.

        `edges` are probabilities of the boundary (N, 1, H, W), `truth` is 1 at the true one, and
        where `known` is 0 the two are not compared (see `boundary_maps`).
        """
        if known is not None:
            edges, truth = edges * known, truth * known
        if self.network.map_size is not None:
            edges, truth = (resize_to(maps, self.network.map_size) for maps in (edges, truth))
        true_tiles = tiles(truth, self.network.tile)
        chosen = enough_boundary(true_tiles)
        if not bool(chosen.any()):
            return edges.sum() * 0
        coefficients = self.network(tiles(edges, self.network.tile)[chosen], true_tiles[chosen])
        return self._distance(coefficients).mean()


def joint_loss(
    outputs: Mapping[str, Tensor],
    labels: Tensor,
    *,
    pixel_loss: Callable[[Tensor, Tensor], Tensor],
    inverse: InverseFormLoss | None,
    weights: JointWeights,
) -> dict[str, Tensor]:
    """The terms of the joint loss, unweighted, and `total`, their weighted sum.

    `outputs` are those of a model's `forward_train`: `logits` (N, classes, H, W), and where they
    are there `aux` of the same shape and `edges` (N, 1, h, w), logits of the boundary of any size.
    `labels` (N, H, W) may hold void, which counts in no term. `pixel_loss` takes logits and
    labels and must be 0 where all labels are void. Without `inverse` that term is left out.

    `segmentation` and `aux` are `pixel_loss`; `edges` is the balanced cross-entropy of the
    boundary; `inverse` is InverseForm; `attention` is `pixel_loss` where boundary is predicted
    (Takikawa 2019, Gated-SCNN). Where a model has `aux_edges` beside its `edges`, the auxiliary
    labels and boundaries get the same three terms again, `aux_edges`, `aux_inverse` and
    `aux_attention`, as in the published networks.
    """
    logits = outputs["logits"].float()
    terms = {"segmentation": pixel_loss(logits, labels)}
    if weights.aux and "aux" in outputs:
        terms["aux"] = pixel_loss(outputs["aux"].float(), labels)
    if "edges" in outputs:
        truth, known = boundary_maps(labels)

        def of_boundary(logits: Tensor, edges: Tensor) -> dict[str, Tensor]:
            edges = resize(edges.float(), like=labels)
            found = {}
            if weights.edges:
                found["edges"] = balanced_cross_entropy(edges, truth, known)
            if weights.inverse and inverse is not None:
                found["inverse"] = inverse(edges.sigmoid(), truth, known)
            if weights.attention:
                near = edges.squeeze(1).sigmoid() > ATTENTION
                found["attention"] = pixel_loss(logits, labels.masked_fill(~near, VOID))
            return found

        terms |= of_boundary(logits, outputs["edges"])
        if weights.aux and "aux_edges" in outputs:
            again = of_boundary(outputs["aux"].float(), outputs["aux_edges"])
            terms |= {f"aux_{name}": term for name, term in again.items()}
    elif inverse is not None:
        raise ValueError("the inverse loss needs a model with an edge head: outputs have no edges")
    total = torch.stack([weights.of(name) * term for name, term in terms.items()]).sum()
    return {**terms, "total": total}


def balanced_cross_entropy(edges: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of boundary logits, both classes of the batch with the same weight.

    All three are (N, 1, H, W). A boundary pixel weighs as the share of the others and the other
    way round (Xie 2015, HED); the mean is over all pixels that are known, 0 where none is.
    """
    pixels = known.sum().clamp(min=1)
    share = (truth * known).sum() / pixels
    weight = known * torch.where(truth > 0, 1 - share, share)
    loss = F.binary_cross_entropy_with_logits(edges, truth, weight, reduction="sum")
    return loss / pixels
