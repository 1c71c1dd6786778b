"""Reads place and relation off a picture: a linear classifier on the judge's features.

An oracle in the sense of ConceptBed: trained on rendered scenes, asked about painted ones. It is
not part of any training of the networks that it measures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from train.judge import Judge
from train.stickers.places import PLACES
from train.stickers.render import render
from train.stickers.scenes import RELATIONS, Scene, sample_scene

SCENES, SEED = 3000, 2
RIDGE = 30.0

PLACE_NAMES = [place.name for place in PLACES]
RELATION_NAMES = [relation.name for relation in RELATIONS]


def facts(scene: Scene) -> tuple[int, int]:
    """Numbers of a scene's place and relation."""
    return PLACE_NAMES.index(scene.place.name), RELATION_NAMES.index(scene.relation.name)


def _classifier(features: Tensor, labels: Tensor, classes: int) -> Callable[[Tensor], Tensor]:
    """Ridge regression of one-hot labels on standardised features."""
    mean, std = features.mean(0), features.std(0) + 1e-6
    x = (features - mean) / std
    y = torch.nn.functional.one_hot(labels, classes).float()
    weight = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]), x.T @ (y - y.mean(0)))
    return lambda seen: ((seen - mean) / std @ weight + y.mean(0)).argmax(1)


@dataclass(frozen=True)
class Oracle:
    """Features of pictures (N, F) → number of the place, of the relation (N,)."""

    place: Callable[[Tensor], Tensor]
    relation: Callable[[Tensor], Tensor]

    def right(self, features: Tensor, scenes: Sequence[Scene]) -> dict[str, float]:
        """Shares of pictures whose place, relation, and both are read as they were asked for."""
        asked = torch.tensor([facts(scene) for scene in scenes])
        place = self.place(features) == asked[:, 0]
        relation = self.relation(features) == asked[:, 1]
        return {
            "place": float(place.float().mean()),
            "relation": float(relation.float().mean()),
            "both": float((place & relation).float().mean()),
        }


def train_oracle(judge: Judge, scenes: int = SCENES) -> tuple[Oracle, Tensor]:
    """An oracle from rendered scenes of training sprites, and their features."""
    chosen = [sample_scene(SEED, index, "train") for index in range(scenes)]
    pictures: list[Image.Image] = [render(scene) for scene in chosen]
    features = judge.features(pictures)
    labels = torch.tensor([facts(scene) for scene in chosen])
    oracle = Oracle(
        _classifier(features, labels[:, 0], len(PLACE_NAMES)),
        _classifier(features, labels[:, 1], len(RELATION_NAMES)),
    )
    return oracle, features
