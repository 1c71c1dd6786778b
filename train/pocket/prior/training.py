"""The pocket prior's training on sticker world: batches, losses and held-out metrics.

The paper drops the edge map for 1 % of 100 million examples; a thousandth of that number would
never teach the prior to do without. Here a fifth of the scenes have an edge map (`examples.EDGES`).

Held-out metrics, on one- and two-subject scenes with the subjects as pictures and as plain words:
mean cosine of the predicted and the true embedding ("cosine"), about the mean embedding
("centred"), and with the training's target ("target").
"""

import random
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.prior import Prior
from train.data.feature_shards import key_of
from train.loop.task import Losses, Settings, Task, generator
from train.pocket.prior.examples import Collated, Examples, crowded
from train.pocket.prior.initial_weights import start
from train.pocket.prior.subject_loss import subject_loss
from train.prior.loss import gather_texts, prior_loss
from train.prior.presets import PRESETS, Preset
from train.prior.task import from_scratch, parameter_groups

SETTINGS = PRESETS["pocket"]
BUCKETS = 3
CROWDED = 4  # scenes of three and four are drawn so many times as often: they are learned last
EVALUATED = 512


def predict(prior: nn.Module, batch: Collated, noise: Tensor) -> Tensor:
    """Embeddings (n, D)."""
    text = batch.text
    return prior(noise, text.pooled, text.states, text.mask, batch.control)


@torch.no_grad()
def evaluate(prior: nn.Module, examples: Examples) -> dict[str, float]:
    """The held-out metrics, on the first `EVALUATED` such scenes of each side."""
    result = {}
    mean = torch.from_numpy(examples.arrays["train-embed"][:4096]).float().mean(0)
    for side in ("held", "seen"):
        rows = examples.arrays.rows(side)
        index = [i for i, row in enumerate(rows) if not crowded(row)][:EVALUATED]
        truth = torch.from_numpy(examples.arrays[f"{side}-embed"][index]).float()
        for name in ("pictures", "words"):
            rng = random.Random(0)
            counts = [len(rows[i].nouns) if name == "pictures" else 0 for i in index]
            batch = examples.collate(
                [
                    examples.example(side, i, dict.fromkeys(range(n), 1.0), rng)
                    for i, n in zip(index, counts, strict=True)
                ]
            )
            noise = torch.randn(truth.shape, generator=generator(2, 0))
            predicted = predict(prior, batch, noise)
            for metric, one, other in (
                ("cosine", predicted, truth),
                ("centred", predicted - mean, truth - mean),
                ("target", predicted, batch.target),
            ):
                result[f"{metric}_{name}_{side}"] = float(F.cosine_similarity(one, other).mean())
    return result


def draw_similar(
    rng: random.Random, scenes: list[int], lengths: Sequence[int], batch: int
) -> list[int]:
    """`batch` of the `scenes` with captions of similar length, to pad little.

    One of `BUCKETS` equal parts, by length, of that many times `batch` random scenes: each entry is
    equally likely.
    """
    drawn = rng.sample(scenes, min(BUCKETS * batch, len(scenes)))
    drawn.sort(key=lengths.__getitem__)
    first = rng.randrange(len(drawn) // batch) * batch
    return drawn[first : first + batch]


class Scenes:
    """Which training scenes a step draws, as a function of (seed, step)."""

    def __init__(self, examples: Examples, settings: Settings) -> None:
        self.rows, self.settings = examples.arrays.rows("train"), settings
        self.lengths = [len(row.caption) for row in self.rows]
        self.pool = [
            i for i, row in enumerate(self.rows) for _ in range(CROWDED if crowded(row) else 1)
        ]

    def draw(self, step: int) -> tuple[list[int], random.Random]:
        """Indices of the step's scenes, and the step's further random numbers."""
        rng = random.Random(f"{self.settings.seed}-{step}")
        return draw_similar(rng, self.pool, self.lengths, self.settings.batch), rng


def task(examples: Examples, settings: Preset, start_from: Prior | None = None) -> Task:
    """The prior's training, from `start_from` or from `start`."""
    torch.manual_seed(settings.seed)
    clip, scenes = examples.clip, Scenes(examples, settings)
    temperature = clip.model.logit_scale.exp()
    prior = start_from
    if prior is None:
        prior = from_scratch(settings, clip.embed_dim)
        start(prior)

    def loss(step: int) -> Losses:
        index, rng = scenes.draw(step)
        batch = examples.collate([examples.draw(i, rng) for i in index])
        keys = torch.tensor([key_of(scenes.rows[i].caption) for i in index])
        noise = torch.randn(batch.target.shape, generator=generator(settings.seed, step))
        text = batch.text
        predicted, states = prior.forward_with_states(
            noise, text.pooled, text.states, text.mask, batch.control
        )
        texts = gather_texts(text.pooled, keys)
        losses = prior_loss(predicted, batch.target, texts, temperature, settings.contrast_weight)
        subjects = subject_loss(states, batch.subject_numbers)
        return losses | {"subjects": subjects, "loss": losses["loss"] + subjects}

    groups = parameter_groups(prior, settings)
    return Task(prior, loss, lambda weights: evaluate(weights, examples), groups)
