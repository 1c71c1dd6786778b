"""Near a finished picture: variations around it, and its request without one subject.

Letters: D embedding width, K subjects, n variations.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor

from lambda_eclipse.messages import Text
from lambda_eclipse.request import Request


def leave_one_out(request: Request) -> list[tuple[Text, Request]]:
    """The request without each of its K subjects in turn, each with a label.

    The subject gets strength 0, so its noun becomes a plain word again. The seed stays, so the
    pictures differ by that subject only.
    """
    times = Counter(subject.noun for subject in request.subjects)
    so_far: Counter[str] = Counter()
    requests = []
    for index, subject in enumerate(request.subjects):
        so_far[subject.noun] += 1
        label = Text('without "{noun}"', noun=subject.noun)
        if times[subject.noun] > 1:
            label = Text(
                'without "{noun}" {number} of {count}',
                noun=subject.noun,
                number=so_far[subject.noun],
                count=times[subject.noun],
            )
        subjects = list(request.subjects)
        subjects[index] = replace(subject, strength=0.0)
        requests.append((label, replace(request, subjects=tuple(subjects))))
    return requests


def variations(embedding: Tensor, n: int, angle_deg: float, seed: int) -> Tensor:
    """(n, D) embeddings around one (D,), each `angle_deg` away from it in a random direction.

    Keeps norm and type. angle_deg: degrees in [0, 180]. Row i depends on the seed and i only.
    Raises ValueError for other shapes and angles, n under 1, and an embedding without direction.
    """
    if embedding.ndim != 1 or len(embedding) < 2 or n < 1:
        raise ValueError(f"{n} variations of {tuple(embedding.shape)}: give (D,) and at least 1.")
    if not 0 <= angle_deg <= 180:
        raise ValueError(f"An angle of {angle_deg}°: it must be between 0 and 180.")
    centre = embedding.detach().double().cpu()  # (D,)
    norm = centre.norm()
    if not norm > 0 or not norm.isfinite():
        raise ValueError("The embedding is zero or not finite: take that of a painted picture.")
    unit = centre / norm  # (D,)
    generator = torch.Generator().manual_seed(seed)
    # Row by row: torch draws large blocks of numbers in another order than small ones.
    draws = [torch.randn(len(unit), generator=generator, dtype=torch.float64) for _ in range(n)]
    noise = torch.stack(draws)  # (n, D)
    side = noise - (noise @ unit)[:, None] * unit  # (n, D), perpendicular to the embedding
    side = side / side.norm(dim=1, keepdim=True)
    angle = math.radians(angle_deg)
    turned = math.cos(angle) * unit + math.sin(angle) * side  # (n, D)
    return (norm * turned).to(embedding)
