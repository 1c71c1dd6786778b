"""Which heads of the prior read which subject, and the maps that they read it by.

A subject's code is ordered, and so many of its numbers are kept as its share of the embedding is
(`lambda_eclipse.pocket.embedding`). So each reader is a few heads that copy a range of one
subject's code to
where the embedding has it, in scenes of the numbers of subjects that leave it that much room.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.closed_forms import ridge
from lambda_eclipse.pocket.embedding import APPEARANCE, LAYOUT, places
from lambda_eclipse.pocket.tower import SEMANTIC
from train.pocket.prior.sample import normed
from train.world.scenes import RELATIONS

RIDGE, FULL = 100.0, 8000  # strength, and scenes below which it grows


_SHARES = {count: APPEARANCE // count for count in range(1, MAX_SUBJECTS + 1)}


def _relations(*counts: int) -> tuple[str, ...]:
    return tuple(relation.name for relation in RELATIONS if len(relation.spots) in counts)


@dataclass(frozen=True)
class Reader:
    """Heads of a block that read subject `number` where there are `counts` subjects.

    They copy a range of its code; those of its first numbers also write what else a subject says:
    what is shown, and where it all stands.
    """

    block: int
    heads: range
    number: int
    counts: tuple[int, ...]
    code: range

    @property
    def who(self) -> tuple[tuple[tuple[str, ...], int], ...]:
        """Relations that tell the subject apart in one way, and its number in the prompt.

        The first one is the first in any, the others depend on how many follow.
        """
        if self.number == 0:
            return ((_relations(*_SHARES), 0),)
        return tuple((_relations(count), self.number) for count in self.counts)

    @property
    def relations(self) -> tuple[str, ...]:
        """All relations with that many subjects."""
        return _relations(*self.counts)

    @property
    def written(self) -> Tensor:
        """Coordinates of the embedding that it writes."""
        own = places(self.counts[0])[self.number][self.code.start : self.code.stop]
        own = SEMANTIC + LAYOUT + own
        return own if self.code.start else torch.cat([torch.arange(SEMANTIC + LAYOUT), own])


_FOUR, _THREE = range(_SHARES[4]), range(_SHARES[4], _SHARES[3])
_TWO, _ONE = range(_SHARES[3], _SHARES[2]), range(_SHARES[2], _SHARES[1])
READERS = (
    Reader(1, range(5), 0, (1, 2, 3, 4), _FOUR),
    Reader(1, range(5, 7), 0, (1, 2, 3), _THREE),
    Reader(1, range(7, 10), 0, (1, 2), _TWO),
    Reader(1, range(10, 19), 0, (1,), _ONE),
    Reader(2, range(5), 1, (2, 3, 4), _FOUR),
    Reader(2, range(5, 7), 1, (2, 3), _THREE),
    Reader(2, range(7, 10), 1, (2,), _TWO),
    Reader(2, range(10, 15), 2, (3, 4), _FOUR),
    Reader(2, range(15, 16), 2, (3,), _THREE),
    Reader(2, range(16, 20), 3, (4,), _FOUR),
)
# what the words must be sure of: the relations of each reader, and of its parts
SETS = tuple(
    dict.fromkeys(
        names
        for reader in READERS
        for names in (reader.relations, *(names for names, _ in reader.who))
        if len(names) < len(RELATIONS)
    )
)


def logistic(x: Tensor, y: Tensor, decay: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Weight (G, D) and bias (G,) of one logistic regression per column of y (N, G), 0 or 1."""
    mean, std = x.mean(0), x.std(0) + 1e-4
    scaled = (x - mean) / std
    weight = torch.zeros(y.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(y.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(scaled @ weight.T + bias, y)
        loss = loss + decay * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    final = weight.detach() / std
    return final, bias.detach() - final @ mean


@dataclass(frozen=True)
class Map:
    """A linear map (E, D), and what it was fitted on: inputs (n, D) of the sample's `rows` (n,)."""

    weight: Tensor
    x: Tensor
    rows: Tensor

    def reduced(self, rank: int) -> tuple[Tensor, Tensor]:
        """Factors (E, r), (r, D) of the best map of that rank for these inputs."""
        y = self.x @ self.weight.T
        vectors = torch.linalg.eigh(y.T @ y).eigenvectors[:, -rank:]  # (E, r)
        return vectors, vectors.T @ self.weight


def among(relations: Sequence[str], names: Sequence[str]) -> Tensor:
    """Which relations (N,) are one of the names: (N,) bool."""
    return torch.tensor([relation in names for relation in relations])


def said_by(reader: Reader, found: Map, count: int) -> Tensor:
    """What a reader's map adds to each scene (count, W)."""
    out = torch.zeros(count, found.weight.shape[0])
    out[found.rows] = found.x @ found.weight.T
    return out


def fit_maps(
    maps: dict[Reader, Map],
    unsaid: Tensor,
    subjects: Tensor,
    added: Tensor,
    start_of_text: Tensor,
    spare: Tensor,
    relations: Sequence[str],
    complete: Tensor,
) -> dict[Reader, Map]:
    """Each reader's map from its subject to what words and the other readers leave (N, W) unsaid.

    subjects: (N, `MAX_SUBJECTS`, W) as the first block is given them; it adds `added` to each.
    """
    left = unsaid - sum(said_by(reader, found, len(unsaid)) for reader, found in maps.items())
    maps = dict(maps)
    for reader in READERS:
        numbers = torch.full((len(relations),), -1)
        for names, number in reader.who:
            numbers[among(relations, names)] = number
        rows = (among(relations, reader.relations) & complete).nonzero()[:, 0]
        if reader in maps:
            left[rows] += maps[reader].x @ maps[reader].weight.T
        x = normed(subjects[rows, numbers[rows]] + added) - start_of_text
        x = x - x @ spare.T @ spare  # positions say nothing
        strength = RIDGE * max(1.0, FULL / max(1, len(rows)))
        weight, _ = ridge(x, left[rows], strength, centred=False)
        weight = weight - weight @ spare.T @ spare
        only = torch.zeros(len(weight))
        only[reader.written] = 1
        weight = only[:, None] * weight
        maps[reader] = Map(weight, x, rows)
        left[rows] -= x @ weight.T
    return maps
