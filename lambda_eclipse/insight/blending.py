"""The risk that two subjects of a request blend into one, by their embeddings.

Letters: D embedding width, K subjects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from lambda_eclipse.plurals import plurals

Level = Literal["low", "some", "high"]
LEVELS: tuple[Level, ...] = ("low", "some", "high")
# Cosines from which the risk is "some" and "high". Embeddings of large CLIPs lie in a narrow cone,
# where even those of unrelated pictures are similar.
THRESHOLDS = (0.65, 0.8)


@dataclass(frozen=True)
class Blend:
    """The risk for a pair of subjects; `first` and `second` are their indices."""

    first: int
    second: int
    cosine: float
    same_noun: bool
    level: Level


def blend_risk(embeddings: Sequence[Tensor], nouns: Sequence[str]) -> list[Blend]:
    """The risk for each pair of K subjects, the riskiest pair first.

    embeddings: K of (D,). nouns: K. A noun that both share, also in the plural, raises the risk
    by one level. Raises ValueError for unequal counts.
    """
    blends = []
    pairs = list(zip(embeddings, nouns, strict=True))
    for (i, (a, noun_a)), (j, (b, noun_b)) in combinations(enumerate(pairs), 2):
        cosine = float(torch.cosine_similarity(a.float(), b.float(), dim=0).clamp(-1, 1))
        same = _same_noun(noun_a, noun_b)
        rank = sum(cosine >= threshold for threshold in THRESHOLDS) + same
        blends.append(Blend(i, j, cosine, same, LEVELS[min(rank, 2)]))
    return sorted(blends, key=lambda blend: (-LEVELS.index(blend.level), -blend.cosine))


def _same_noun(a: str, b: str) -> bool:
    first, second = (" ".join(noun.lower().split()) for noun in (a, b))
    return first in plurals(second) or second in plurals(first)
