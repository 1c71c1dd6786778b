"""The CLIP's training examples of each step: scenes, isolated drawings and photograph stand-ins."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.pocket.tower import CLASSES, GridTower
from train.loop.task import generator
from train.pocket.lexicon import Lexicon
from train.world.arrays import VIEWS, Arrays, view_index
from train.world.looks import LOOKS

DRAWINGS, STAND_INS = 48, 48  # per step, beside the batch of scenes


class Batches:
    """Examples as a function of (seed, step)."""

    def __init__(
        self, arrays: Arrays, lexicon: Lexicon, tower: GridTower, seed: int, batch: int
    ) -> None:
        self.arrays, self.lexicon, self.seed, self.batch = arrays, lexicon, seed, batch
        self.by_noun: dict[str, list[int]] = {}  # training sprites
        for i in np.flatnonzero(~arrays.held):
            self.by_noun.setdefault(arrays.sprites[i].noun, []).append(int(i))
        weight = F.normalize(tower.trunk.classifier.weight, dim=1)
        self.confusion = (weight @ weight.T).detach()  # (1000, 1000): similarity of classes

    def scenes(self, step: int) -> np.ndarray:
        """Indices of the step's scenes; each epoch is a permutation."""
        total = len(self.arrays.rows("train"))
        epoch, position = divmod(step, total // self.batch)
        order = np.random.default_rng((self.seed, epoch)).permutation(total)
        return np.sort(order[position * self.batch :][: self.batch])

    def drawings(self, rng: random.Random) -> tuple[list[str], np.ndarray]:
        """Nouns and view indices of about `DRAWINGS` sprites, up to two drawings of a noun."""
        sprites: list[int] = []
        for noun in rng.sample(sorted(self.by_noun), min(DRAWINGS // 2, len(self.by_noun))):
            sprites += rng.sample(self.by_noun[noun], min(2, len(self.by_noun[noun])))
        looks = [0 if rng.random() < 0.5 else rng.randrange(1, LOOKS) for _ in sprites]
        views = [rng.randrange(VIEWS) for _ in sprites]
        nouns = [self.arrays.sprites[i].noun for i in sprites]
        return nouns, view_index(np.array(sprites), np.array(looks), np.array(views))

    def stand_ins(
        self, rng: random.Random, step: int
    ) -> tuple[list[str], tuple[Tensor, Tensor, Tensor]]:
        """Names of ImageNet classes, and arguments of `tower.semantic` in place of a photograph.

        Those are class logits (n, 1000), with a grid (n, 16, 768) that is hidden in half of the
        rows (n,) and another sprite's, with noise, in the others.
        """
        classes = rng.sample(range(CLASSES), STAND_INS)
        names = []
        for c in classes:
            noun = self.lexicon.class_nouns[c]
            names.append(noun if noun and rng.random() < 0.6 else self.lexicon.class_names[c])
        noise = torch.randn(STAND_INS, CLASSES, generator=generator(self.seed, step, 1))
        sharpness = torch.tensor([rng.uniform(8, 30) for _ in classes])[:, None]
        logits = sharpness * self.confusion[classes] + noise
        train_views = self.arrays.train_views
        others = train_views[np.sort([rng.randrange(len(train_views)) for _ in classes])]
        grid = torch.from_numpy(self.arrays["views-grid"][others]).float()
        grid = grid + torch.randn(grid.shape, generator=generator(self.seed, step, 2))
        hidden = torch.arange(STAND_INS) % 2 == 0
        return names, (grid, logits, hidden)
