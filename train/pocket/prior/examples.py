"""Sticker world's arrays as examples for the prior: what it is given, and what is asked of it.

Frozen CLIP gives the caption's token states; each subject's states are swapped for the embedding
of the subject alone on white. Subjects that look as their noun says (`scenes.is_named`) stay words
half of the time, so that prompts with and without pictures both work: a word that stood for six
drawings would teach the squared error to paint their mean.

What stands free of others is asked for by the code of its view
(`lambda_eclipse.pocket.embedding`), not by
that of its frame in the picture: the two differ by how pixels fell, which nothing foretells, and a
squared error answers what it can't foretell by its mean, a blur. For a share of them the code is
mixed with another's, in the view and in what is asked alike: codes of looks that no drawing has, a
photograph's for one, are to be copied as well.

Now and then a subject is shown at less than full strength, its states between the word's and its
embedding, and a code as far between is asked for: that of the drawing which the noun alone stands
for, and its own. Left to itself a prior takes a state that is half a picture for all of one.
"""

import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lambda_eclipse.clip import Clip, TextFeatures
from lambda_eclipse.interleave import swap
from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.embedding import LAYOUT, places
from lambda_eclipse.pocket.tower import SEMANTIC
from lambda_eclipse.tokens import Span
from train.pocket.prior.sample import Sample
from train.world.arrays import (
    FREE_EVERY,
    VIEWS,
    Row,
    read_rows,
    read_sprites,
    train_views,
    view_index,
)
from train.world.scenes import is_named, with_article

WORD = 0.5  # chance that a subject that looks as its noun says stays a plain word
DISGUISED = 0.7  # chance that shown subjects lose their names
MIXED = 0.5  # chance that the code of who stands free is mixed with another's
WEAKENED = 0.2  # chance that a shown subject is at less than full strength
EMPTY_NOUNS = ("thing", "toy", "figure", "creature")
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


def number_tokens(mask: Tensor, spans: list[list[Span]], shown: list[list[int]]) -> Tensor:
    """For each token of `mask` (n, L): 0, or the number from 1 of the subject swapped in there.

    `spans` and `shown`: per scene, of the subjects shown, and which they are.
    """
    numbers = torch.zeros_like(mask, dtype=torch.int)
    for row, own, subjects in zip(numbers, spans, shown, strict=True):
        for (begin, end), k in zip(own, subjects, strict=True):
            row[begin:end] = k + 1
    return numbers


def crowded(row: Row) -> bool:
    """Whether a scene has more than two subjects."""
    return len(row.nouns) > 2


def code_of(embed: Tensor) -> Tensor | None:
    """The code of looks of an embedding (D,); None where it is seen as several subjects."""
    one = int(embed[SEMANTIC:][:MAX_SUBJECTS].argmax()) == 0
    return embed[NUMBERS:] if one else None


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
        self.sprites, held = read_sprites(folder)
        self.named = {  # noun → number of the training sprite that it alone stands for
            sprite.noun: i
            for i, sprite in enumerate(self.sprites)
            if is_named(sprite, 0) and not held[i]
        }
        self.train_views = train_views(held)
        self.mean_code = self.views[self.train_views[::16], NUMBERS:].float().mean(0)
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

    def strengths(self, row: Row, shown: Sequence[int], rng: random.Random) -> list[float]:
        """Strengths in [0, 1] of a scene's `shown` subjects (numbers), `WEAKENED` of them below 1.

        Those whose noun stands for no drawing of the training's keep theirs.
        """
        nouns = [self.sprites[row.subjects[k][0]].noun for k in shown]
        weak = [noun in self.named and rng.random() < WEAKENED for noun in nouns]
        return [rng.random() if one else 1.0 for one in weak]

    def tell(
        self,
        side: str,
        index: list[int],
        shown: list[list[int]],
        rng: random.Random,
        disguised_share: float = 0.0,
        strengths: list[list[float]] | None = None,
    ) -> tuple[list[str], list[list[Span]], list[list[int]]]:
        """Captions, and per scene the spans and views of the `shown` subjects (numbers).

        `disguised_share`: chance that a scene with all subjects shown, in full strength, is told
        without their names.
        """
        captions, spans, views = [], [], []
        strengths = strengths or [[1.0] * len(numbers) for numbers in shown]
        for i, numbers, strong in zip(index, shown, strengths, strict=True):
            row, own = self.rows[side][i], self.spans(side, i)
            caption = row.caption
            all_shown = sum(strong) == len(row.nouns)
            if disguised_share and all_shown and rng.random() < disguised_share:
                caption, words = disguised(row, self.nouns, rng)
                own = self.clip.tokenizer.assign(caption, words)
            captions.append(caption)
            spans.append([own[k] for k in numbers])
            views.append([int(view_index(*row.subjects[k], rng.randrange(VIEWS))) for k in numbers])
        return captions, spans, views

    def mix(self, picture: Tensor, rng: random.Random) -> Tensor:
        """The embedding (D,) of a view, its code of looks turned towards or off another view's.

        Mean and variance of codes stay what they are. What is seen as several subjects is not
        changed.
        """
        if code_of(picture) is None:
            return picture
        other = self.views[int(rng.choice(self.train_views)), NUMBERS:].float()
        angle, mixed = rng.uniform(-math.pi / 2, math.pi / 2), picture.clone()
        own, other = picture[NUMBERS:] - self.mean_code, other - self.mean_code
        mixed[NUMBERS:] = self.mean_code + math.cos(angle) * own + math.sin(angle) * other
        return mixed

    @torch.no_grad()
    def interleaved(
        self,
        side: str,
        index: list[int],
        shown: list[list[int]],
        rng: random.Random,
        disguised_share: float = 0.0,
        strengths: list[list[float]] | None = None,
        mixed_share: float = 0.0,
    ) -> tuple[TextFeatures, list[Tensor], Tensor]:
        """Token states with subjects swapped in; per scene their embeddings (K, D); whose they are.

        The last are (n, L), as `number_tokens` gives them. `mixed_share`: of those who stand free,
        whose code is mixed. Other arguments as for `tell`.
        """
        captions, spans, views = self.tell(side, index, shown, rng, disguised_share, strengths)
        text = self.clip.text(captions)
        pictures = [self.views[own].float() for own in views]
        if mixed_share:
            for i, numbers, own in zip(index, shown, pictures, strict=True):
                free = stand_free(self.rows[side][i])
                for at, k in enumerate(numbers):
                    if free[k] and rng.random() < mixed_share:
                        own[at] = self.mix(own[at], rng)
        swapped = swap(text.states, spans, pictures, strengths)
        numbers = number_tokens(text.mask, spans, shown)
        return TextFeatures(swapped, text.pooled, text.mask), pictures, numbers

    def target(
        self,
        side: str,
        index: list[int],
        shown: list[list[int]],
        pictures: list[Tensor],
        strengths: list[list[float]] | None = None,
    ) -> Tensor:
        """What is asked for (n, D): the scenes' embeddings, but for the codes of who stands free.

        These are those of the `pictures` (K, D) of the `shown`, or of the first view of what is a
        word, wherever that is seen as one subject. At less than full strength a code, who stands
        free or not, is between the first view's of what the noun alone stands for and its own.
        """
        target = self.embeds[side][index].float()
        strengths = strengths or [[1.0] * len(numbers) for numbers in shown]
        for asked, i, numbers, own, strong in zip(
            target, index, shown, pictures, strengths, strict=True
        ):
            row = self.rows[side][i]
            seen, strength = (dict(zip(numbers, of, strict=True)) for of in (own, strong))
            free, slots = stand_free(row), places(len(row.subjects))
            for k, ((sprite, look), slot) in enumerate(zip(row.subjects, slots, strict=True)):
                code = code_of(seen[k] if k in seen else self.first_view(sprite, look))
                if free[k] and code is not None:
                    asked[NUMBERS + slot] = code[: len(slot)]
                if strength.get(k, 1.0) < 1:
                    word = code_of(self.first_view(self.named[self.sprites[sprite].noun], 0))
                    if word is not None:
                        mixed = torch.lerp(word[: len(slot)], asked[NUMBERS + slot], strength[k])
                        asked[NUMBERS + slot] = mixed
        return target

    def first_view(self, sprite: int, look: int) -> Tensor:
        """The embedding (D,) of a sprite's first view in that look."""
        return self.views[int(view_index(sprite, look, 0))].float()

    @torch.no_grad()
    def sample(self, count: int, batch: int = 128) -> list[Sample]:
        """What the start is fitted on: training scenes, as a step shows them.

        The first `count`, and of the others those of three or four subjects, which are rare.
        """
        rng, rows = random.Random("start"), self.rows["train"]
        order = [i for i, row in enumerate(rows) if i < count or crowded(row)]
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
            complete = [len(s) == len(rows[i].nouns) for s, i in zip(shown, index, strict=True)]
            given = [i % FREE_EVERY == 0 for i in index]
            found.append(
                Sample(
                    TextFeatures(swap(text.states, spans, pictures), text.pooled, text.mask),
                    number_tokens(text.mask, spans, shown),
                    torch.tensor(complete),
                    tuple(rows[i].relation for i in index),
                    torch.tensor(given),
                    self.control("train", index, given),
                    self.target("train", index, shown, pictures),
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
