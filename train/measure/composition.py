"""Composition of painted scenes: place and layout as an oracle reads them, and Fréchet distances.

The oracle, in the sense of ConceptBed, is a linear classifier on the judge's feature maps, trained
on rendered scenes; it took part in no training. Relations with the same spots, such as "chasing"
and "looking at", look alike and are one layout to it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.pipeline import Studio
from train.measure.judge import Judge
from train.measure.painting import SIDES, embed, paint, whole_path
from train.world.arrays import EVALUATION_SEED
from train.world.places import PLACES
from train.world.relations import RELATIONS
from train.world.render import render
from train.world.scenes import Scene, sample_scene

ORACLE_SCENES, ORACLE_SEED = 3000, 2
RIDGE = 0.15  # of the mean squared norm of an example's features
SCENES = 256
FRECHET_DIMENSIONS = 64  # principal components of the features: 256 pictures determine no more

PLACE_NAMES = [place.name for place in PLACES]
LAYOUTS = list(dict.fromkeys(relation.spots for relation in RELATIONS))


def labels(scene: Scene) -> tuple[int, int]:
    """Indices of a scene's place and layout."""
    return PLACE_NAMES.index(scene.place.name), LAYOUTS.index(scene.relation.spots)


@dataclass(frozen=True)
class Oracle:
    """Classifiers: feature maps of pictures (N, C, H, W) → indices of place and layout (N,)."""

    place: Callable[[Tensor], Tensor]
    layout: Callable[[Tensor], Tensor]

    def accuracy(self, maps: Tensor, scenes: Sequence[Scene]) -> dict[str, float]:
        """Shares of pictures with the place, the relation's layout, and both as in their scenes."""
        target = torch.tensor([labels(scene) for scene in scenes])
        place = self.place(maps) == target[:, 0]
        layout = self.layout(maps) == target[:, 1]
        shares = {"place": place, "relation": layout, "both": place & layout}
        return {name: float(right.float().mean()) for name, right in shares.items()}


def train_oracle(judge: Judge, count: int = ORACLE_SCENES) -> tuple[Oracle, Tensor]:
    """An oracle trained on rendered scenes of training sprites, and their feature maps.

    Ridge regressions from standardised maps to one-hot labels.
    """
    scenes = [sample_scene(ORACLE_SEED, index, "train") for index in range(count)]
    maps = judge.maps([render(scene) for scene in scenes])
    flat = maps.flatten(1)
    mean, std = flat.mean(0), flat.std(0) + 1e-6
    x = (flat - mean) / std
    gram = x @ x.T  # (N, N): fewer examples than features
    gram.diagonal().add_(RIDGE * x.shape[1])
    target = torch.tensor([labels(scene) for scene in scenes])

    def classifier(index: Tensor, classes: int) -> Callable[[Tensor], Tensor]:
        y = F.one_hot(index, classes).float()
        weight = x.T @ torch.linalg.solve(gram, y - y.mean(0))
        return lambda maps: ((maps.flatten(1) - mean) / std @ weight + y.mean(0)).argmax(1)

    place = classifier(target[:, 0], len(PLACE_NAMES))
    return Oracle(place, classifier(target[:, 1], len(LAYOUTS))), maps


def scenes(studio: Studio, judge: Judge) -> dict[str, float]:
    """The oracle's accuracies, and Fréchet distances to other rendered scenes.

    Of scenes rendered ("truth"), painted from the true embedding ("decoder"), and by the whole path
    ("path").
    """
    oracle, maps = train_oracle(judge)
    features = maps.mean((2, 3))
    basis = torch.linalg.svd(features - features.mean(0), full_matrices=False).Vh
    basis = basis[:FRECHET_DIMENSIONS].T  # (F, 64)
    result = {}
    for side in SIDES:
        chosen, others = (
            [sample_scene(EVALUATION_SEED, i, side) for i in range(first, first + SCENES)]
            for first in (0, SCENES)
        )
        real = judge.features([render(scene) for scene in others]) @ basis
        truth = [render(scene) for scene in chosen]
        for source, pictures in (
            ("truth", truth),
            ("decoder", paint(studio, embed(studio, truth))),
            ("path", whole_path(studio, chosen)),
        ):
            maps = judge.maps(pictures)
            for name, accuracy in oracle.accuracy(maps, chosen).items():
                result[f"{name}_{source}_{side}"] = accuracy
            result[f"frechet_{source}_{side}"] = frechet(maps.mean((2, 3)) @ basis, real)
    return result


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the normal distributions of rows (N, F) and (M, F)."""
    a, b = a.double(), b.double()
    covariances = torch.cov(a.T), torch.cov(b.T)
    product = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0)
    spread = covariances[0].trace() + covariances[1].trace() - 2 * product.sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + spread)
