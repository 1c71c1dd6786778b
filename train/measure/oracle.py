"""Reads place and relation off a picture: a linear classifier on the judge's feature maps.

An oracle in the sense of ConceptBed: trained on rendered scenes, asked about painted ones. It is
not part of any training of the networks that it measures. Of the relations it reads where subjects
stand: those that put them on the same spots, such as "chasing" and "looking at", look the same and
are one to it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from train.measure.judge import Judge
from train.world.places import PLACES
from train.world.render import render
from train.world.scenes import RELATIONS, Scene, sample_scene

SCENES, SEED = 3000, 2
RIDGE = 0.15  # of the mean square length of an example's features

PLACE_NAMES = [place.name for place in PLACES]
LAYOUTS = list(dict.fromkeys(relation.spots for relation in RELATIONS))


def facts(scene: Scene) -> tuple[int, int]:
    """Numbers of a scene's place, and of where its relation puts its subjects."""
    return PLACE_NAMES.index(scene.place.name), LAYOUTS.index(scene.relation.spots)


def _classifiers(
    maps: Tensor, labels: Tensor, classes: Sequence[int]
) -> list[Callable[[Tensor], Tensor]]:
    """Ridge regressions of each column of one-hot labels (N, K) on standardised maps (N, …)."""
    flat = maps.flatten(1)
    mean, std = flat.mean(0), flat.std(0) + 1e-6
    x = (flat - mean) / std
    gram = x @ x.T  # (N, N): there are fewer examples than numbers
    gram.diagonal().add_(RIDGE * x.shape[1])

    def classifier(own: Tensor, count: int) -> Callable[[Tensor], Tensor]:
        y = torch.nn.functional.one_hot(own, count).float()
        weight = x.T @ torch.linalg.solve(gram, y - y.mean(0))
        return lambda seen: ((seen.flatten(1) - mean) / std @ weight + y.mean(0)).argmax(1)

    return [classifier(own, count) for own, count in zip(labels.T, classes, strict=True)]


@dataclass(frozen=True)
class Oracle:
    """Feature maps of pictures (N, C, H, W) → number of the place, of the relation (N,)."""

    place: Callable[[Tensor], Tensor]
    relation: Callable[[Tensor], Tensor]

    def right(self, maps: Tensor, scenes: Sequence[Scene]) -> dict[str, float]:
        """Shares of pictures whose place, relation, and both are read as they were asked for."""
        asked = torch.tensor([facts(scene) for scene in scenes])
        place = self.place(maps) == asked[:, 0]
        relation = self.relation(maps) == asked[:, 1]
        return {
            "place": float(place.float().mean()),
            "relation": float(relation.float().mean()),
            "both": float((place & relation).float().mean()),
        }


def train_oracle(judge: Judge, scenes: int = SCENES) -> tuple[Oracle, Tensor]:
    """An oracle from rendered scenes of training sprites, and their feature maps."""
    chosen = [sample_scene(SEED, index, "train") for index in range(scenes)]
    pictures: list[Image.Image] = [render(scene) for scene in chosen]
    maps = judge.maps(pictures)
    labels = torch.tensor([facts(scene) for scene in chosen])
    return Oracle(*_classifiers(maps, labels, (len(PLACE_NAMES), len(LAYOUTS)))), maps
