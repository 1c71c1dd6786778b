"""Ways between image embeddings: straight, along the sphere, and over a square of four (Fig. 7).

CLIP's latent space is smooth, so points between two embeddings are pictures too. Letters: D
embedding width, n points along a side.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lambda_eclipse.messages import StudioError
from lambda_eclipse.request import MODE, Mode

# Sine of the angle below which two directions count as parallel or opposite (in float64).
_TINY = 1e-9


def lerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the straight line from `a` to `b`, (..., D); ends are exact."""
    _check(a, b, t)
    if t in (0.0, 1.0):
        return (b if t else a).clone()
    return torch.lerp(a, b, t)


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """The point at t in [0, 1] on the arc from `a` to `b`, (..., D); ends are exact.

    The direction turns at constant speed and the norm changes linearly, because embeddings are
    not normalised. Opposite directions turn through a fixed perpendicular; where one embedding
    is zero it has no direction, and the other's is kept.
    """
    _check(a, b, t)
    if t in (0.0, 1.0):
        return (b if t else a).clone()
    start, end = a.double(), b.double()
    norm_a = start.norm(dim=-1, keepdim=True)  # (..., 1)
    norm_b = end.norm(dim=-1, keepdim=True)  # (..., 1)
    unit_a = torch.where(norm_a > 0, start / norm_a, end / norm_b).nan_to_num()  # (..., D)
    unit_b = torch.where(norm_b > 0, end / norm_b, unit_a)  # (..., D)

    cosine = (unit_a * unit_b).sum(dim=-1, keepdim=True)  # (..., 1)
    side = unit_b - cosine * unit_a  # (..., D), perpendicular to a
    sine = side.norm(dim=-1, keepdim=True)  # (..., 1)
    side = torch.where(sine > _TINY, side / sine.clamp_min(_TINY), _perpendicular(unit_a))
    angle = torch.atan2(sine, cosine) * t  # (..., 1)
    direction = torch.cos(angle) * unit_a + torch.sin(angle) * side  # (..., D)
    return (torch.lerp(norm_a, norm_b, t) * direction).to(a.dtype)


def bilinear(corners: Tensor, x: float, y: float, mode: Mode = MODE) -> Tensor:
    """The point (D,) at x (right) and y (down), both in [0, 1], of a square of embeddings.

    corners: (4, D): top left, top right, bottom left, bottom right; they come back bit for bit.
    """
    if corners.ndim != 2 or len(corners) != 4:
        raise ValueError(f"Corners are {tuple(corners.shape)}; expected (4, D).")
    way = _way(mode)
    top = way(corners[0], corners[1], x)  # (D,)
    bottom = way(corners[2], corners[3], x)  # (D,)
    return way(top, bottom, y)  # (D,)


def grid(corners: Tensor, n: int, mode: Mode = MODE) -> Tensor:
    """All n × n points (n, n, D) of the square, [row y, column x]; n of at least 2."""
    if n < 2:
        raise ValueError(f"A grid has at least 2 points along a side, not {n}.")
    steps = [i / (n - 1) for i in range(n)]
    return torch.stack([torch.stack([bilinear(corners, x, y, mode) for x in steps]) for y in steps])


def _way(mode: str) -> Callable[[Tensor, Tensor, float], Tensor]:
    ways = {"lerp": lerp, "slerp": slerp}
    if mode not in ways:
        raise StudioError(
            'There is no interpolation "{mode}": use {modes}.', mode=mode, modes=" or ".join(ways)
        )
    return ways[mode]


def _check(a: Tensor, b: Tensor, t: float) -> None:
    if not 0.0 <= t <= 1.0:
        raise ValueError(f"{t} is outside the way from 0 to 1.")
    if a.shape != b.shape:
        raise ValueError(f"Embeddings are {tuple(a.shape)} and {tuple(b.shape)}; use equal shapes.")


def _perpendicular(unit: Tensor) -> Tensor:
    """Unit vectors (..., D) at right angles to `unit`: its least-used axis, made orthogonal."""
    axis = torch.zeros_like(unit).scatter_(-1, unit.abs().argmin(dim=-1, keepdim=True), 1.0)
    side = axis - (axis * unit).sum(dim=-1, keepdim=True) * unit
    return side / side.norm(dim=-1, keepdim=True).clamp_min(_TINY)
