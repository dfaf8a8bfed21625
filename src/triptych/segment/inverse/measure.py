"""How well an inverse network tells homographies: errors by coefficient, and their order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from triptych.segment.inverse.homography import COORDINATES, euclidean, warp
from triptych.segment.inverse.networks import TILE, InverseNet
from triptych.segment.inverse.pairs import (
    Boundaries,
    centre,
    draw_coordinates,
    draw_pairs,
)
from triptych.segment.inverse.recipe import InverseRecipe
from triptych.training.seeding import stream

_SEED = 0
"""Of the pairs that are measured on: the same for all runs, whatever their own seed."""
_BATCH = 64


def measure(network: InverseNet, maps: Boundaries, recipe: InverseRecipe) -> dict[str, Any]:
    """Scores of a network on the recipe's `val_pairs` fresh pairs, the same in every run.

    `relative_error`: the mean absolute error of a coefficient, divided by that of answering
    identity always; 1 is what a network reaches that has learnt nothing. `degraded_error`: the
    same where all warped maps are degraded. `ranking`: share of the triples of a map and two warps
    of it, one a shortened copy of the other, in which the longer one has the larger distance;
    0.5 is chance. `by_coefficient` has the relative error of each.

    An answer that is not finite is none: it counts as that of identity, and a triple with one as
    half right, so that a training that diverged scores 1 and 0.5.
    """
    whole = _errors(network, maps, replace(recipe, degraded=0.0))
    worse = _errors(network, maps, replace(recipe, degraded=1.0))
    return {
        "relative_error": _ratio(*whole),
        "degraded_error": _ratio(*worse),
        "ranking": _ranking(network, maps, recipe),
        "by_coefficient": {
            name: _ratio(error[:, index], size[:, index])
            for index, name in enumerate(COORDINATES)
            for error, size in (whole,)
        },
    }


def _errors(network: InverseNet, maps: Boundaries, recipe: InverseRecipe) -> tuple[Tensor, Tensor]:
    """Absolute errors and absolute true coefficients, both (val_pairs, 8)."""
    errors, sizes = [], []
    for start in range(0, recipe.val_pairs, _BATCH):
        count = min(_BATCH, recipe.val_pairs - start)
        pairs = draw_pairs(maps, recipe, count, stream(_SEED, "measure", start))
        answers = _answer(network, pairs.warped, pairs.true)
        told = answers.isfinite().all(dim=1, keepdim=True)
        errors.append((answers.where(told, 0.0) - pairs.coordinates).abs())
        sizes.append(pairs.coordinates.abs())
    return torch.cat(errors), torch.cat(sizes)


def _ranking(network: InverseNet, maps: Boundaries, recipe: InverseRecipe) -> float:
    right = 0.0
    for start in range(0, recipe.val_pairs, _BATCH):
        count = min(_BATCH, recipe.val_pairs - start)
        draw = stream(_SEED, "ranking", start)
        windows = maps.windows[torch.randint(len(maps.windows), (count,), generator=draw)]
        around = maps.cut(windows)
        far = draw_coordinates(recipe, count, draw)
        near = far * torch.rand(count, 1, generator=draw)
        distances = [
            euclidean(_answer(network, warp(around, each, TILE), centre(around)))
            for each in (near, far)
        ]
        told = distances[0].isfinite() & distances[1].isfinite()
        right += float(torch.where(told, (distances[1] > distances[0]).float(), 0.5).sum())
    return right / recipe.val_pairs


def _answer(network: InverseNet, warped: Tensor, true: Tensor) -> Tensor:
    device = next(network.parameters()).device
    with torch.no_grad():
        answer: Tensor = network(warped.to(device), true.to(device))
    return answer.float().cpu()


def _ratio(errors: Tensor, sizes: Tensor) -> float | None:
    """Mean error over mean size; None where the recipe leaves a coefficient at 0."""
    whole = float(sizes.double().mean())
    return float(errors.double().mean()) / whole if whole else None
