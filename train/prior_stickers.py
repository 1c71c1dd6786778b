"""Sticker world's arrays as what the prior is trained on, and what it is measured by there.

Frozen CLIP gives the caption's token states; each subject's states are swapped for the embedding
of the subject alone on white. Subjects that look as their noun says (`scenes.is_named`) stay words
half of the time, so that prompts with and without pictures both work: a word that stood for six
drawings would teach the squared error to paint their mean. The paper drops the edge map for 1 % of
100 million examples; with a thousandth of them "no edge map" would never be learned, so here it is
given for a fifth only.

What stands free of others is asked for by the code of its view (`lambda_eclipse.slots`), not by
that of its frame in the picture: the two differ by how pixels fell, which nothing foretells, and a
squared error answers what it can't foretell by its mean, a blur.

Held-out metrics: mean cosine of predicted and true embedding on one- and two-subject scenes, with
the subjects as pictures and as plain words, plain, about the mean embedding, and of what is asked.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.clip import Clip, TextFeatures
from lambda_eclipse.interleave import swap
from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.prior import Prior
from lambda_eclipse.slots import LAYOUT, places
from lambda_eclipse.tokens import Span
from lambda_eclipse.tower import SEMANTIC
from train.feature_shards import key_of
from train.loop import generator
from train.prior_sample import Sample
from train.prior_start import start
from train.shards import FREE_EVERY, VIEWS, Row, read_rows, read_sprites, view_index
from train.stickers.scenes import is_named, with_article

WORD = 0.5  # chance that a subject that looks as its noun says stays a plain word
DISGUISED = 0.7  # chance that shown subjects lose their names
EMPTY_NOUNS = ("thing", "toy", "figure", "creature")
BUCKETS = 3
START_SCENES = 30_000
EDGES = 0.8  # chance that a free scene is given its edge map: a fifth of all
FREE = 0.1  # of a subject's square that others may hide where it stands free
NUMBERS = SEMANTIC + LAYOUT  # where an embedding's codes of looks begin


def disguised(row: Row, nouns: Sequence[str], rng: random.Random) -> tuple[str, list[str]]:
    """The caption with other nouns in the place of its own, and those nouns.

    Half of them say nothing, half are of something else. On training sprites a noun alone nearly
    determines the look, and what stays of it in the pooled text and in later states is an easier
    guide than the subject's embedding: a prior that leans on it paints the average cat instead of
    this one. Captions list the nouns in their order.
    """
    caption, words, at = row.caption, [], 0
    for noun in row.nouns:
        found = re.compile(rf"\b(?:an? )?{re.escape(noun)}\b").search(caption, at)
        assert found is not None, (row.caption, noun)
        words.append(rng.choice(EMPTY_NOUNS if rng.random() < 0.5 else nouns))
        new = with_article(words[-1])
        caption = caption[: found.start()] + new + caption[found.end() :]
        at = found.start() + len(new)
    return caption, words


def stand_free(row: Row) -> list[bool]:
    """Which subjects' squares are all but free of the others' squares."""
    free = []
    for k, (x, y, size) in enumerate(row.spots):
        shared = 0.0
        for other, (x2, y2, size2) in enumerate(row.spots):
            reach = (size + size2) / 2
            across, down = (min(reach - abs(d), size, size2) for d in (x - x2, y - y2))
            shared += max(across, 0) * max(down, 0) * (other != k)
        free.append(shared <= FREE * size**2)
    return free


class Examples:
    """Captions, spans and embeddings of the shards."""

    def __init__(self, folder: Path, clip: Clip) -> None:
        def array(name: str) -> Tensor:
            return torch.from_numpy(np.load(folder / f"{name}.npy"))

        sides = ("train", "held", "seen")
        self.rows: dict[str, list[Row]] = {side: read_rows(folder, side) for side in sides}
        self.embeds = {side: array(f"{side}-embed") for side in sides}
        self.edges = {side: array(f"{side}-edges-embed") for side in sides}
        self.views, self.null = array("views-embed"), array("null-embed").float()
        self.sprites, _ = read_sprites(folder)
        self.nouns = sorted({sprite.noun for sprite in self.sprites})
        self.clip = clip
        self._spans: dict[tuple[str, int], list[Span]] = {}

    def spans(self, side: str, index: int) -> list[Span]:
        """Token spans of a scene's subjects."""
        key = (side, index)
        if key not in self._spans:
            row = self.rows[side][index]
            self._spans[key] = self.clip.tokenizer.assign(row.caption, row.nouns)
        return self._spans[key]

    def shown(self, row: Row, rng: random.Random) -> list[int]:
        """Which of a scene's subjects a step shows as pictures."""
        return [
            k
            for k, (sprite, look) in enumerate(row.subjects)
            if not is_named(self.sprites[sprite], look) or rng.random() >= WORD
        ]

    def tell(
        self,
        side: str,
        index: list[int],
        shown: list[list[int]],
        rng: random.Random,
        disguised_share: float = 0.0,
    ) -> tuple[list[str], list[list[Span]], list[list[int]]]:
        """Captions, and per scene the spans and views of the `shown` subjects (numbers).

        `disguised_share`: chance that a scene with all subjects shown is told without their names.
        """
        captions, spans, views = [], [], []
        for i, numbers in zip(index, shown, strict=True):
            row, own = self.rows[side][i], self.spans(side, i)
            caption = row.caption
            all_shown = len(numbers) == len(row.nouns)
            if disguised_share and all_shown and rng.random() < disguised_share:
                caption, words = disguised(row, self.nouns, rng)
                own = self.clip.tokenizer.assign(caption, words)
            captions.append(caption)
            spans.append([own[k] for k in numbers])
            views.append([int(view_index(*row.subjects[k], rng.randrange(VIEWS))) for k in numbers])
        return captions, spans, views

    @torch.no_grad()
    def interleaved(self, *told: Any) -> tuple[TextFeatures, list[list[int]]]:
        """Token states with subjects swapped in, and their views; arguments as for `tell`."""
        captions, spans, views = self.tell(*told)
        text = self.clip.text(captions)
        swapped = swap(text.states, spans, [self.views[own].float() for own in views])
        return TextFeatures(swapped, text.pooled, text.mask), views

    def target(
        self, side: str, index: list[int], shown: list[list[int]], views: list[list[int]]
    ) -> Tensor:
        """What is asked for (n, D): the scenes' embeddings, but for the codes of who stands free.

        These are those of the `views` of the `shown`, or of the first view of what is a word,
        wherever that is seen as one subject.
        """
        target = self.embeds[side][index].float()
        for asked, i, numbers, own in zip(target, index, shown, views, strict=True):
            row, seen = self.rows[side][i], dict(zip(numbers, own, strict=True))
            free, slots = stand_free(row), places(len(row.subjects))
            for k, (subject, slot) in enumerate(zip(row.subjects, slots, strict=True)):
                view = self.views[seen.get(k, int(view_index(*subject, 0)))].float()
                one = int(view[SEMANTIC : SEMANTIC + MAX_SUBJECTS].argmax()) == 0
                if free[k] and one:
                    asked[NUMBERS + slot] = view[NUMBERS : NUMBERS + len(slot)]
        return target

    @torch.no_grad()
    def sample(self, count: int, batch: int = 128) -> list[Sample]:
        """What the start is fitted on: training scenes, as a step shows them.

        The first `count`, and of the others those of three or four subjects, which are rare.
        """
        rng, rows = random.Random("start"), self.rows["train"]
        order = [i for i, row in enumerate(rows) if i < count or len(row.nouns) > 2]
        order.sort(key=lambda i: len(rows[i].caption))
        found = []
        firsts = list(range(0, len(order), batch))
        rng.shuffle(firsts)
        for first in firsts:
            index = order[first : first + batch]
            shown = [self.shown(rows[i], rng) for i in index]
            captions, spans, views = self.tell("train", index, shown, rng, DISGUISED)
            text = self.clip.text(captions)
            pictures = [self.views[own].float() for own in views]
            swapped = torch.zeros_like(text.mask, dtype=torch.int)
            for row, own, numbers in zip(swapped, spans, shown, strict=True):
                for (begin, end), number in zip(own, numbers, strict=True):
                    row[begin:end] = number + 1
            complete = [len(s) == len(rows[i].nouns) for s, i in zip(shown, index, strict=True)]
            given = [i % FREE_EVERY == 0 for i in index]
            found.append(
                Sample(
                    TextFeatures(swap(text.states, spans, pictures), text.pooled, text.mask),
                    swapped,
                    torch.tensor(complete),
                    tuple(rows[i].relation for i in index),
                    torch.tensor(given),
                    self.control("train", index, given),
                    self.target("train", index, shown, views),
                )
            )
        return found

    def control(self, side: str, index: list[int], given: list[bool]) -> Tensor:
        """Edge-map embeddings (n, D) where given, else the null image's."""
        rows = [
            self.edges[side][i // FREE_EVERY].float() if g else self.null[0]
            for i, g in zip(index, given, strict=True)
        ]
        return torch.stack(rows)


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
            text, views = examples.interleaved(side, index, shown, random.Random(0))
            predicted = predict(prior, text, control, noise)
            result[f"cosine_{name}_{side}"] = float(F.cosine_similarity(predicted, target).mean())
            asked = examples.target(side, index, shown, views)
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
        text, _ = examples.interleaved("train", index, shown, random.Random(first))
        control = examples.control("train", index, [False] * len(index))
        noise = torch.randn(control.shape, generator=generator(3, first))
        rows.append(predict(prior, text, control, noise).half().numpy())
    part = folder / "train-predicted.npy.part"
    with part.open("wb") as file:
        np.save(file, np.concatenate(rows))
    part.replace(folder / "train-predicted.npy")


def draw_alike(rng: random.Random, lengths: list[int], batch: int) -> list[int]:
    """Indices of `batch` scenes with captions of similar length, so that little is padded.

    One of `BUCKETS` equal parts, by length, of that many times `batch` scenes drawn at random: each
    scene is as likely as any other.
    """
    drawn = rng.sample(range(len(lengths)), min(BUCKETS * batch, len(lengths)))
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

    settings: ClassVar[dict[str, Any]] = {}

    def __init__(self, shards: Path, clip_folder: Path, batch: int, seed: int) -> None:
        clip = Clip.from_folder(clip_folder)
        self.examples = Examples(shards, clip)
        self.dimension = clip.embed_dim
        self.inverse_temperature = clip.model.logit_scale.exp()
        self.size, self.seed = batch, seed
        self._lengths = [len(row.caption) for row in self.examples.rows["train"]]

    def network(self, prior: Prior) -> nn.Module:
        """What is given a batch's inputs."""
        return prior

    def start(self, prior: Prior) -> None:
        """Sets the prior to closed forms fitted on these scenes."""
        start(prior, self.examples.sample(START_SCENES))

    def batch(self, step: int) -> Batch:
        """The scenes of a step, with captions of similar length."""
        examples, seed = self.examples, self.seed
        rng = random.Random(f"{seed}-{step}")
        index = draw_alike(rng, self._lengths, self.size)
        shown = [examples.shown(examples.rows["train"][i], rng) for i in index]
        given = [i % FREE_EVERY == 0 and rng.random() < EDGES for i in index]
        text, views = examples.interleaved("train", index, shown, rng, DISGUISED)
        target = examples.target("train", index, shown, views)
        noise = torch.randn(target.shape, generator=generator(seed, step))
        keys = torch.tensor([key_of(examples.rows["train"][i].caption) for i in index])
        return Batch(text, examples.control("train", index, given), noise, target, keys)

    def evaluate(self, prior: nn.Module) -> dict[str, float]:
        """Held-out metrics."""
        return evaluate(prior, self.examples)
