"""Scenes of sticker world: a caption, its subjects, and their positions.

A scene is a function of (seed, index, side of the split). A caption and its subjects determine the
picture, since a prior trained with a squared error blurs whatever they leave open: each relation
has one canonical layout; a subject has the colours, side and turn of its view, as the paper cuts
its subjects out of the target picture (Sec. 3.2); a noun without a picture stands for one artist's
drawing, the prototype. Only in free scenes do subjects leave their canonical spots: those teach the
edge map.
"""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from train.world.concepts import CONCEPTS, Concept
from train.world.looks import LOOKS
from train.world.places import PLACES, Place
from train.world.relations import ANY, RELATIONS, Relation, Spot
from train.world.split import load_split
from train.world.sprites import Sprite, load, load_breadth

PROTOTYPE_STYLE = "noto"  # of the drawing that a noun alone stands for
PROTOTYPES = 0.2  # share of scenes of prototypes
BREADTH = 0.35  # share of subjects that are no concept
FREE_SHIFT, FREE_SCALE = (12.0, 10.0), (0.75, 1.1)  # of free scenes: pixels, factor of the size
SYNONYMS = 0.2  # share of nouns with synonyms that are written as one
CHANGED_LOOKS = 0.6  # share of subjects that differ from their artist's drawing
_BY_NOUN: dict[str, Concept] = {concept.noun: concept for concept in CONCEPTS}


@dataclass(frozen=True)
class Scene:
    """One scene: all that determines its caption, picture and views."""

    seed: str
    place: Place
    relation: Relation
    sprites: tuple[Sprite, ...]
    spots: tuple[Spot, ...]
    looks: tuple[int, ...]  # look index of each subject
    nouns: tuple[str, ...]  # as written in the caption
    caption: str


def with_article(noun: str) -> str:
    """The noun with its indefinite article: "a cat", "an owl", "glasses"."""
    plural = noun.endswith("s") and not noun.endswith(("ss", "us"))
    if plural or noun in ("bread", "cheese", "corn", "maize"):
        return noun
    vowel = noun[0] in "aeiou" and not noun.startswith(("uni", "ufo", "eu"))
    return f"{'an' if vowel else 'a'} {noun}"


@functools.cache
def _pools(side: str) -> dict[str, tuple[Sprite, ...]]:
    """The sprites of a side, by kind."""
    split = load_split()
    sprites = [s for s in load()[0] if (s.name in split.sprites) == (side == "held")]
    return _by_kind(sprites)


@functools.cache
def _breadth_pools() -> dict[str, tuple[Sprite, ...]]:
    return _by_kind(load_breadth()[0])


def _by_kind(sprites: Sequence[Sprite]) -> dict[str, tuple[Sprite, ...]]:
    return {kind: tuple(s for s in sprites if s.kind == kind) for kind in ANY}


def _draw_sprite(
    rng: random.Random, kinds: tuple[str, ...], side: str, prototype: bool, breadth: bool
) -> Sprite:
    pools = _breadth_pools() if breadth and rng.random() < BREADTH else _pools(side)
    pool = [s for kind in kinds for s in pools[kind]]
    if not pool:  # no held-out or broad sprite has such a kind
        pool = [s for kind in kinds for s in _pools("train")[kind]]
    if prototype:
        pool = [s for s in pool if s.style == PROTOTYPE_STYLE] or pool
    return rng.choice(pool)


def sample_scene(
    seed: int, index: int, side: str = "train", breadth: bool = False, free: bool = False
) -> Scene:
    """Scene number `index` of a seed.

    `side`: "train" (training sprites and pairs), "seen" (training sprites, in another random
    stream, for evaluation) or "held" (held-out sprites). `breadth`: with subjects that are no
    concept. `free`: off the canonical spots.
    """
    key = f"{side}-{seed}-{index}"
    rng = random.Random(key)
    split = load_split()
    relation = rng.choices(RELATIONS, [r.weight for r in RELATIONS])[0]
    prototypes = rng.random() < PROTOTYPES
    while True:
        sprites = tuple(
            _draw_sprite(rng, kinds, side, prototypes, breadth and not prototypes)
            for kinds in relation.kinds
        )
        distinct = len({s.noun for s in sprites}) == len(sprites)
        if distinct and (side == "held" or split.is_train(sprites)):
            break
    unchanged = prototypes and all(s.style == PROTOTYPE_STYLE for s in sprites)
    place = rng.choice(PLACES)
    return compose(key, rng, relation, place, sprites, 0 if unchanged else CHANGED_LOOKS, free)


def compose(
    key: str,
    rng: random.Random,
    relation: Relation,
    place: Place,
    sprites: tuple[Sprite, ...],
    changed: float = CHANGED_LOOKS,
    free: bool = False,
) -> Scene:
    """A scene from its parts; `rng` draws words and looks, `key` seeds free spots.

    `changed`: share of subjects that differ from their artist's drawing.
    """
    nouns = []
    for sprite in sprites:
        synonyms = _BY_NOUN[sprite.noun].synonyms if sprite.noun in _BY_NOUN else ()
        nouns.append(rng.choice(synonyms) if synonyms and rng.random() < SYNONYMS else sprite.noun)
    looks = tuple(rng.randrange(1, LOOKS) if rng.random() < changed else 0 for _ in sprites)
    phrase = place.phrases[0] if rng.random() < 0.6 else rng.choice(place.phrases)
    caption = rng.choice(relation.templates).format(*map(with_article, nouns), p=phrase)
    spots = _free_spots(key, relation.spots) if free else relation.spots
    return Scene(
        key, place, relation, sprites, spots, looks, tuple(nouns), " ".join(caption.split())
    )


def _free_spots(key: str, spots: Sequence[Spot]) -> tuple[Spot, ...]:
    rng = random.Random("free-" + key)
    right, down = FREE_SHIFT
    return tuple(
        Spot(
            spot.x + rng.uniform(-right, right),
            spot.y + rng.uniform(-down, down),
            spot.size * rng.uniform(*FREE_SCALE),
        )
        for spot in spots
    )


def is_prototype(sprite: Sprite, look: int) -> bool:
    """Whether this is the drawing that its noun alone stands for."""
    return sprite.style == PROTOTYPE_STYLE and look == 0
