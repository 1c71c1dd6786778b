"""The U-Net's training data: embeddings, latents and pictures of scenes."""

import numpy as np
import torch
from torch import Tensor

from lambda_eclipse.pocket.embedding import LAYOUT
from lambda_eclipse.pocket.tower import SEMANTIC
from train.loop.task import generator
from train.world.arrays import SIDES, Arrays
from train.world.places import PLACES

DROP = 0.1  # share of embeddings replaced by the null image's, for guidance
NOISE = 0.25  # on embeddings, up to this share of each number's standard deviation
LAYOUT_NOISE = 0.2  # of that, on the layout's numbers


class Pairs:
    """Embeddings and latents, in memory, and what else is known of the scenes."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.embeds = {side: arrays.tensor(f"{side}-embed") for side in SIDES}
        self.latents = {side: arrays.tensor(f"{side}-latents") for side in SIDES}
        self.place_latents = arrays.tensor("places-latents").float()
        place_index = {place.name: i for i, place in enumerate(PLACES)}
        self.place = {
            side: torch.tensor([place_index[row.place] for row in arrays.rows(side)])
            for side in SIDES
        }
        self.null = arrays.tensor("null-embed").float()
        self.spread = self.embeds["train"][:4096].float().std(0)  # (D,)
        self.spread[SEMANTIC : SEMANTIC + LAYOUT] *= LAYOUT_NOISE

    def spots(self, side: str, index: np.ndarray, chance: Tensor) -> Tensor:
        """A spot (n, 3) of each scene, chosen by `chance` (n,) in [0, 1)."""
        scenes = [self.arrays.rows(side)[i].spots for i in index]
        pairs = zip(scenes, chance.tolist(), strict=True)
        return torch.tensor([spots[int(c * len(spots))] for spots, c in pairs]).float()

    def grounds(self, side: str, count: int) -> tuple[Tensor, Tensor]:
        """Embeddings of the first scenes, and the latents of their empty places."""
        return self.embeds[side][:count].float(), self.place_latents[self.place[side][:count]]


def draw_batch(pairs: Pairs, seed: int, step: int, batch: int) -> tuple[Tensor, np.ndarray]:
    """The step's embeddings (B, D), and the indices of their scenes (B,).

    Embeddings are noisy, and some dropped to the null image.
    """
    rng = np.random.default_rng((seed, step))
    index = rng.choice(len(pairs.embeds["train"]), batch, False)
    embeds = pairs.embeds["train"][index].float()
    amount = torch.from_numpy(NOISE * rng.random((batch, 1))).float()
    noise = torch.randn(embeds.shape, generator=generator(seed, step, stream=1))
    embeds = embeds + amount * pairs.spread * noise
    dropped = torch.from_numpy(rng.random(batch) < DROP)
    return torch.where(dropped[:, None], pairs.null, embeds), index
