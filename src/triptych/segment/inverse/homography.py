"""Homographies near identity: their coordinates, matrices, distances, and warps of maps.

A homography H is written as the matrix exponential of a traceless 3x3 matrix A, in coordinates in
which a tile reaches from -1 to 1 (Hall 2015, "Lie Groups, Lie Algebras, and Representations",
chapter 2). Near identity A is H - I to first order; other than the entries of H - I, the
coordinates of A change nothing but their sign when H is inverted, each is a quantity with a name,
and each moves the middle of a tile's side by about its own value, in half sides of the tile, so
that their Euclidean norm weighs them alike.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

COORDINATES = (
    "shift_x", "shift_y", "rotation", "scale", "stretch", "shear", "perspective_x",
    "perspective_y",
)  # fmt: skip
"""Shifts are in half sides, right and down; rotation in radians, clockwise on the screen; scale
is the logarithm of the factor; stretch widens and flattens, shear leans along the diagonal;
perspective is the change of depth from the middle to the side."""
_SMALL = 1e-3
"""Distances below this have no more than their square's gradient, so that 0 has one."""


def matrices(coordinates: Tensor) -> Tensor:
    """The traceless matrices A (N, 3, 3) of coordinates (N, 8), see `COORDINATES`."""
    right, down, turn, scale, stretch, shear, tilt_x, tilt_y = coordinates.unbind(dim=-1)
    rows = (
        (scale / 3 + stretch, shear - turn, right),
        (shear + turn, scale / 3 - stretch, down),
        (tilt_x, tilt_y, -2 * scale / 3),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def homographies(coordinates: Tensor) -> Tensor:
    """The homographies exp(A) (N, 3, 3) of coordinates (N, 8), all of determinant 1."""
    found: Tensor = torch.linalg.matrix_exp(matrices(coordinates))
    return found


def euclidean(coefficients: Tensor) -> Tensor:
    """Euclidean norms (N,) of coefficients (N, k), with a gradient of 0 at 0."""
    return _norm(coefficients.square().sum(dim=-1))


def geodesic(coordinates: Tensor) -> Tensor:
    """Lengths (N,) of the ways from identity to homographies with coordinates (N, 8).

    The Frobenius norm of A, the length of the curve exp(t A) from t = 0 to 1 in the group of
    homographies with its left-invariant metric.
    """
    return _norm(matrices(coordinates).square().sum(dim=(-2, -1)))


def _norm(squares: Tensor) -> Tensor:
    return (squares + _SMALL**2).sqrt() - _SMALL


def warp(maps: Tensor, coordinates: Tensor, side: int) -> Tensor:
    """Tiles (N, C, side, side) in which maps (N, C, H, W) have moved by homographies (N, 8).

    The tile lies in the middle of its map, so that what enters it comes from the map's margin;
    beyond the map is 0. What lay at x in the tile's coordinates lies at H x after the warp.
    Interpolates bilinearly.
    """
    height, width = maps.shape[-2:]
    back = homographies(-coordinates)
    ticks = (2 * torch.arange(side, device=maps.device, dtype=maps.dtype) + 1) / side - 1
    y, x = torch.meshgrid(ticks, ticks, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3)
    sources = points @ back.transpose(1, 2)
    flat = sources[..., :2] / sources[..., 2:].clamp(min=_SMALL)
    # From the tile's own coordinates to those of the map around it.
    flat = flat * flat.new_tensor([side / width, side / height])
    grid = flat.view(-1, side, side, 2)
    return F.grid_sample(maps, grid, padding_mode="zeros", align_corners=False)
