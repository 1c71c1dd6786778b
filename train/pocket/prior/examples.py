"""Examples for the pocket prior: a caption with subjects swapped in, and its target embedding.

The token states of a subject's noun are swapped for the embedding of its isolated view. Prototypes
(`scenes.is_prototype`) stay words half of the time, so that prompts work without pictures too.

The target is the scene's embedding, with two changes. For unoccluded subjects it holds the code of
the isolated view: pixel alignment is unpredictable and an L2 loss would blur it. For subjects below
full strength, whose token states lie between the word and the view, it holds a code as far between
the prototype's and the subject's.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lambda_eclipse.clip import Clip, TextFeatures
from lambda_eclipse.interleave import swap
from lambda_eclipse.mentions import assign
from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.embedding import LAYOUT, places
from lambda_eclipse.pocket.tower import SEMANTIC
from lambda_eclipse.tokens import Span
from train.world.arrays import FREE_EVERY, VIEWS, Arrays, Row, view_index
from train.world.scenes import is_prototype, with_article

WORD = 0.5  # chance that a prototype stays a plain word
DISGUISED = 0.7  # chance that the nouns of a scene with all subjects shown are replaced
WEAKENED = 0.2  # chance that a shown subject is below full strength
EDGES = 0.8  # chance that a free scene comes with its edge map: a fifth of all scenes
EMPTY_NOUNS = ("thing", "toy", "figure", "creature")
OVERLAP = 0.1  # share of a subject's square that others may cover while it counts as unoccluded
CODE = SEMANTIC + LAYOUT  # where the appearance numbers of an embedding begin


@dataclass(frozen=True)
class Shown:
    """A subject whose embedding replaces its noun."""

    index: int  # among the scene's subjects
    span: Span  # of the noun's tokens
    view: Tensor  # (D,), of the isolated view
    strength: float  # in [0, 1]


@dataclass(frozen=True)
class Example:
    """One scene: the prior's inputs and target. Embeddings are (D,)."""

    caption: str
    subjects: tuple[Shown, ...]
    control: Tensor  # of the edge map, or of the null image
    target: Tensor


@dataclass(frozen=True)
class Collated:
    """Examples of a batch; n examples, L text positions, D embedding width."""

    text: TextFeatures  # with subjects swapped in
    control: Tensor  # (n, D)
    target: Tensor  # (n, D)
    subject_numbers: Tensor  # (n, L): the subject swapped in at a token, from 1; 0 for words


def disguise(row: Row, nouns: Sequence[str], rng: random.Random) -> tuple[str, list[str]]:
    """The caption with other nouns, and those nouns in order.

    Half of them are empty ("thing"), half name something else. A noun nearly determines the look of
    a training sprite, and leaks into the pooled text and later states: a prior that relies on it
    paints the average cat instead of this one.
    """
    caption, words, position = row.caption, [], 0
    for noun in row.nouns:
        match = re.compile(rf"\b(?:an? )?{re.escape(noun)}\b").search(caption, position)
        assert match is not None, (row.caption, noun)
        words.append(rng.choice(EMPTY_NOUNS if rng.random() < 0.5 else nouns))
        phrase = with_article(words[-1])
        caption = caption[: match.start()] + phrase + caption[match.end() :]
        position = match.start() + len(phrase)
    return caption, words


def unoccluded(row: Row) -> list[bool]:
    """Which subjects' squares hardly overlap the others' (up to `OVERLAP`)."""
    free = []
    for k, (x, y, size) in enumerate(row.spots):
        shared = 0.0
        for other, (x2, y2, size2) in enumerate(row.spots):
            reach = (size + size2) / 2
            across, down = (min(reach - abs(d), size, size2) for d in (x - x2, y - y2))
            shared += max(across, 0) * max(down, 0) * (other != k)
        free.append(shared <= OVERLAP * size**2)
    return free


def crowded(row: Row) -> bool:
    """Whether a scene has more than two subjects."""
    return len(row.nouns) > 2


def code_of(embed: Tensor) -> Tensor | None:
    """The appearance code of an embedding (D,); None where it shows several subjects."""
    single = int(embed[SEMANTIC:][:MAX_SUBJECTS].argmax()) == 0
    return embed[CODE:] if single else None


class Examples:
    """Examples from the arrays of sticker world."""

    def __init__(self, arrays: Arrays, clip: Clip) -> None:
        self.arrays, self.clip = arrays, clip
        self.views = arrays.tensor("views-embed")
        self.null = arrays.tensor("null-embed").float()[0]
        self.prototypes = {  # noun → index of the sprite that it stands for
            sprite.noun: i
            for i, sprite in enumerate(arrays.sprites)
            if is_prototype(sprite, 0) and not arrays.held[i]
        }
        self.nouns = sorted({sprite.noun for sprite in arrays.sprites})

    def view(self, sprite: int, look: int, view: int = 0) -> Tensor:
        """The embedding (D,) of an isolated view."""
        return self.views[int(view_index(sprite, look, view))].float()

    def example(
        self,
        side: str,
        index: int,
        shown: dict[int, float],
        rng: random.Random,
        disguise_share: float = 0.0,
        edges: bool = False,
    ) -> Example:
        """A scene with the subjects `shown` (index → strength) swapped in.

        `disguise_share`: chance of other nouns where all subjects are shown at full strength.
        `edges`: with its edge map; only every `FREE_EVERY`-th scene has one.
        """
        row = self.arrays.rows(side)[index]
        caption, nouns = row.caption, list(row.nouns)
        complete = sum(shown.values()) == len(nouns)  # all at full strength
        if disguise_share and complete and rng.random() < disguise_share:
            caption, nouns = disguise(row, self.nouns, rng)
        spans = assign(self.clip.tokenizer, caption, nouns)
        subjects = tuple(
            Shown(k, spans[k], self.view(*row.subjects[k], rng.randrange(VIEWS)), strength)
            for k, strength in shown.items()
        )
        control = self.null
        if edges:
            edge_maps = self.arrays[f"{side}-edges-embed"]
            control = torch.from_numpy(edge_maps[index // FREE_EVERY]).float()
        return Example(caption, subjects, control, self.target(side, index, subjects))

    def target(self, side: str, index: int, subjects: Sequence[Shown]) -> Tensor:
        """The embedding to predict (D,); see the head of this module."""
        row = self.arrays.rows(side)[index]
        target = torch.from_numpy(self.arrays[f"{side}-embed"][index]).float()
        shown = {subject.index: subject for subject in subjects}
        for k, (numbers, free) in enumerate(
            zip(places(len(row.nouns)), unoccluded(row), strict=True)
        ):
            sprite, look = row.subjects[k]
            code = code_of(shown[k].view if k in shown else self.view(sprite, look))
            slot = CODE + numbers
            if free and code is not None:
                target[slot] = code[: len(slot)]
            if k in shown and shown[k].strength < 1:
                prototype = self.prototypes[self.arrays.sprites[sprite].noun]
                word = code_of(self.view(prototype, 0))
                if word is not None:
                    target[slot] = torch.lerp(word[: len(slot)], target[slot], shown[k].strength)
        return target

    def draw(self, index: int, rng: random.Random) -> Example:
        """A training example of scene `index`, as a step shows it."""
        row, shown = self.arrays.rows("train")[index], {}
        for k, (sprite, look) in enumerate(row.subjects):
            drawing = self.arrays.sprites[sprite]
            if is_prototype(drawing, look) and rng.random() < WORD:
                continue
            weak = drawing.noun in self.prototypes and rng.random() < WEAKENED
            shown[k] = rng.random() if weak else 1.0
        edges = index % FREE_EVERY == 0 and rng.random() < EDGES
        return self.example("train", index, shown, rng, DISGUISED, edges)

    @torch.no_grad()
    def collate(self, examples: Sequence[Example]) -> Collated:
        """Encode the captions and swap the subjects in."""
        text = self.clip.text([example.caption for example in examples])
        subjects = [example.subjects for example in examples]
        states = swap(
            text.states,
            [[subject.span for subject in row] for row in subjects],
            [torch.stack([s.view for s in row]) if row else self.views[:0] for row in subjects],
            [[subject.strength for subject in row] for row in subjects],
        )
        numbers = torch.zeros_like(text.mask, dtype=torch.int)
        for target, row in zip(numbers, subjects, strict=True):
            for subject in row:
                target[slice(*subject.span)] = subject.index + 1
        return Collated(
            TextFeatures(states, text.pooled, text.mask),
            torch.stack([example.control for example in examples]),
            torch.stack([example.target for example in examples]),
            numbers,
        )
