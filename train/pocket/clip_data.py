"""What each step of the CLIP's training reads: scenes, instances and stand-ins for photographs."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.pocket.tower import GridTower
from train.loop.loop import generator
from train.pocket.teacher import Lexicon
from train.world.arrays import VIEWS, Shards, train_views, view_index
from train.world.looks import LOOKS

DRAWINGS, ANCHORS = 48, 48  # per step, beside the batch of scenes


class Batches:
    """What a step trains on, as a function of (seed, step)."""

    def __init__(
        self,
        shards: Shards,
        lexicon: Lexicon,
        tower: GridTower,
        seed: int,
        batch: int,
    ) -> None:
        self.shards, self.lexicon, self.seed, self.batch = shards, lexicon, seed, batch
        self.by_noun: dict[str, list[int]] = {}
        for i in np.flatnonzero(~shards.held):
            self.by_noun.setdefault(shards.sprites[i].noun, []).append(int(i))
        self.train_views = train_views(shards.held)
        names = F.normalize(tower.trunk.classifier.weight, dim=1)
        self.confusion = (names @ names.T).detach()  # which classes the trunk takes for which

    def scenes(self, step: int) -> np.ndarray:
        """Indices of the step's scenes: an epoch is a permutation."""
        total = len(self.shards.rows["train"])
        per_epoch = total // self.batch
        order = np.random.default_rng((self.seed, step // per_epoch)).permutation(total)
        at = step % per_epoch * self.batch
        return np.sort(order[at : at + self.batch])

    def drawings(self, rng: random.Random) -> tuple[list[str], np.ndarray]:
        """Nouns and views of about `DRAWINGS` sprites alone, up to two drawings of a noun."""
        chosen = []
        for noun in rng.sample(sorted(self.by_noun), min(DRAWINGS // 2, len(self.by_noun))):
            own = self.by_noun[noun]
            chosen += rng.sample(own, min(2, len(own)))
        looks = [0 if rng.random() < 0.5 else rng.randrange(1, LOOKS) for _ in chosen]
        views = [rng.randrange(VIEWS) for _ in chosen]
        nouns = [self.shards.sprites[i].noun for i in chosen]
        return nouns, view_index(np.array(chosen), np.array(looks), np.array(views))

    def anchors(self, rng: random.Random, step: int) -> tuple[list[str], tuple[Tensor, ...]]:
        """ImageNet classes: what to call them, and a photograph's stand-in for `tower.semantic`.

        Class logits of that class; the rest a stranger's with noise, or hidden.
        """
        classes = rng.sample(range(1000), ANCHORS)
        words = []
        for c in classes:
            noun = self.lexicon.class_nouns[c]
            words.append(noun if noun and rng.random() < 0.6 else self.lexicon.class_names[c])
        noise = torch.randn(ANCHORS, 1000, generator=generator(self.seed, step, 1))
        sharpness = torch.tensor([rng.uniform(8, 30) for _ in classes])[:, None]
        logits = sharpness * self.confusion[classes] + noise
        strangers = self.train_views[
            np.sort([rng.randrange(len(self.train_views)) for _ in classes])
        ]
        grid = torch.from_numpy(self.shards.grid["views"][strangers]).float()
        grid = grid + torch.randn(grid.shape, generator=generator(self.seed, step, 2))
        hidden = torch.arange(ANCHORS) % 2 == 0
        return words, (grid, logits, hidden)
