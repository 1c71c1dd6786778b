"""The prior's training on sticker world, and what it is measured by there.

Examples are those of `prior_examples`. The paper drops the edge map for 1 % of 100 million of them;
with a thousandth of that "no edge map" would never be learned, so here it is given for a fifth
only.

Held-out metrics: mean cosine of predicted and true embedding on one- and two-subject scenes, with
the subjects as pictures and as plain words, plain, about the mean embedding, and of what is asked.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.clip import Clip, TextFeatures
from lambda_eclipse.prior import Prior
from train.data.feature_shards import key_of
from train.loop.loop import generator
from train.pocket.prior.counting import Counting
from train.pocket.prior.examples import DISGUISED, MIXED, Examples, crowded
from train.pocket.prior.start import start
from train.world.arrays import FREE_EVERY

BUCKETS = 3
START_SCENES = 30_000
CROWDED = 4  # so many times as often scenes of three and four are drawn: they are learned last
EDGES = 0.8  # chance that a free scene is given its edge map: a fifth of all


def predict(prior: nn.Module, text: TextFeatures, control: Tensor, noise: Tensor) -> Tensor:
    """Embeddings (n, D)."""
    return prior(noise, text.pooled, text.states, text.mask, control)


@torch.no_grad()
def evaluate(prior: nn.Module, examples: Examples, count: int = 512) -> dict[str, float]:
    """Cosines on the first `count` one- and two-subject scenes of each side, without edges."""
    result = {}
    mean = examples.embeds["train"][:4096].float().mean(0)
    for side in ("held", "seen"):
        index = [i for i, row in enumerate(examples.rows[side]) if len(row.nouns) < 3][:count]
        target = examples.embeds[side][index].float()
        noise = torch.randn(target.shape, generator=generator(2, 0))
        control = examples.control(side, index, [False] * len(index))
        for name, shown in (
            ("pictures", [list(range(len(examples.rows[side][i].nouns))) for i in index]),
            ("words", [[] for _ in index]),
        ):
            text, pictures, _ = examples.interleaved(side, index, shown, random.Random(0))
            predicted = predict(prior, text, control, noise)
            result[f"cosine_{name}_{side}"] = float(F.cosine_similarity(predicted, target).mean())
            asked = examples.target(side, index, shown, pictures)
            result[f"asked_{name}_{side}"] = float(F.cosine_similarity(predicted, asked).mean())
            centred = F.cosine_similarity(predicted - mean, target - mean).mean()
            result[f"centred_{name}_{side}"] = float(centred)
    return result


@torch.no_grad()
def write_predictions(prior: nn.Module, examples: Examples, folder: Path, count: int) -> None:
    """`train-predicted.npy` (count, D) float16: what the prior makes of the first training scenes.

    All subjects as pictures, no edge maps. The decoder learns from them what to make of embeddings
    that are a little less certain than true ones.
    """
    rows = []
    for first in range(0, count, 128):
        index = list(range(first, min(count, first + 128)))
        shown = [list(range(len(examples.rows["train"][i].nouns))) for i in index]
        text, _, _ = examples.interleaved("train", index, shown, random.Random(first))
        control = examples.control("train", index, [False] * len(index))
        noise = torch.randn(control.shape, generator=generator(3, first))
        rows.append(predict(prior, text, control, noise).half().numpy())
    part = folder / "train-predicted.npy.part"
    with part.open("wb") as file:
        np.save(file, np.concatenate(rows))
    part.replace(folder / "train-predicted.npy")


def draw_alike(rng: random.Random, scenes: list[int], lengths: list[int], batch: int) -> list[int]:
    """`batch` of the `scenes` with captions of similar length, so that little is padded.

    One of `BUCKETS` equal parts, by length, of that many times `batch` scenes drawn at random: each
    entry is as likely as any other.
    """
    drawn = rng.sample(scenes, min(BUCKETS * batch, len(scenes)))
    drawn.sort(key=lengths.__getitem__)
    first = rng.randrange(len(drawn) // batch) * batch
    return drawn[first : first + batch]


@dataclass(frozen=True)
class Batch:
    """Scenes of a step: n examples of D numbers; the text is padded."""

    text: TextFeatures
    control: Tensor
    noise: Tensor
    target: Tensor
    keys: Tensor
    numbers: Tensor  # (n, L): of the subject that a token belongs to

    @property
    def pooled(self) -> Tensor:
        """Pooled text (n, D)."""
        return self.text.pooled

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the prior takes."""
        return self.noise, self.text.pooled, self.text.states, self.text.mask, self.control

    def __len__(self) -> int:
        return len(self.noise)

    def split(self, parts: int) -> list["Batch"]:
        """All of it: these batches are small."""
        assert parts == 1
        return [self]


class Stickers:
    """The source of a training on sticker world."""

    def __init__(self, shards: Path, clip_folder: Path, batch: int, seed: int) -> None:
        clip = Clip.from_folder(clip_folder)
        self.examples = Examples(shards, clip)
        self.dimension = clip.embed_dim
        self.inverse_temperature = clip.model.logit_scale.exp()
        self.size, self.seed = batch, seed
        rows = self.examples.rows["train"]
        self._lengths = [len(row.caption) for row in rows]
        self._scenes = [i for i, r in enumerate(rows) for _ in range(CROWDED if crowded(r) else 1)]

    def network(self, prior: Prior) -> nn.Module:
        """What is given a batch's inputs."""
        self._counting = Counting(prior)
        return prior

    def auxiliary(self, batch: Batch) -> dict[str, Tensor]:
        """Losses beside Eq. 1, of the last batch that the network was given."""
        return {"counting": self._counting.loss(batch.numbers)}

    def start(self, prior: Prior) -> None:
        """Sets the prior to closed forms fitted on these scenes."""
        start(prior, self.examples.sample(START_SCENES))

    def batch(self, step: int) -> Batch:
        """The scenes of a step, with captions of similar length."""
        examples, seed = self.examples, self.seed
        rng = random.Random(f"{seed}-{step}")
        index = draw_alike(rng, self._scenes, self._lengths, self.size)
        shown = [examples.shown(examples.rows["train"][i], rng) for i in index]
        given = [i % FREE_EVERY == 0 and rng.random() < EDGES for i in index]
        rows = [examples.rows["train"][i] for i in index]
        strong = [examples.strengths(row, one, rng) for row, one in zip(rows, shown, strict=True)]
        text, pictures, numbers = examples.interleaved(
            "train", index, shown, rng, DISGUISED, strong, MIXED
        )
        target = examples.target("train", index, shown, pictures, strong)
        noise = torch.randn(target.shape, generator=generator(seed, step))
        keys = torch.tensor([key_of(examples.rows["train"][i].caption) for i in index])
        control = examples.control("train", index, given)
        return Batch(text, control, noise, target, keys, numbers)

    def evaluate(self, prior: nn.Module) -> dict[str, float]:
        """Held-out metrics."""
        return evaluate(prior, self.examples)
