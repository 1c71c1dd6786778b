"""Scenes of sticker world: what is said, of whom, and where everything stands.

A scene is a function of (seed, index, side of the split). Each relation (the words of the paper's
Table 8) has one canonical layout, so that a caption and its subjects determine the picture: a prior
trained with a squared error learns the blur of whatever is undetermined. For the same reason a
subject stands in its scene as it was shown (colours, side it faces, turn), as the paper cuts its
subjects out of the very picture to be painted (Sec. 3.2), and a thing that is only named looks as
one artist drew it. Only in free scenes do subjects stand off their spots: what an edge map is for.
"""

import functools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from train.world.concepts import CONCEPTS, Concept
from train.world.looks import LOOKS
from train.world.places import PLACES, Place
from train.world.split import Split, load_split
from train.world.sprites import Sprite, load, load_breadth

NAMED_STYLE = "noto"  # what a thing looks like that has no picture
NAMED, BREADTH = 0.2, 0.35  # shares of scenes of such things, of subjects that are no concept
FREE_SHIFT, FREE_SCALE = (12.0, 10.0), (0.75, 1.1)  # how far off its spot, and of what size
_ACTORS = ("animal", "person")
_ANY = ("animal", "person", "food", "vehicle", "thing", "building", "head", "eyes")
_BY_NOUN: dict[str, Concept] = {concept.noun: concept for concept in CONCEPTS}


@dataclass(frozen=True)
class Spot:
    """Where a subject stands: its centre and long side, in pixels.

    Centred like the subject alone on white, so that the one is the other moved and scaled.
    """

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Relation:
    """A sentence form with its one layout. Subjects are drawn in the order of `layers`."""

    name: str
    weight: float
    templates: tuple[str, ...]
    kinds: tuple[tuple[str, ...], ...]
    spots: tuple[Spot, ...]
    layers: tuple[int, ...]


# Relations share their spots: each spot is one more map from a subject to its scene to be learned.
LEFT, RIGHT = Spot(33, 80, 62), Spot(95, 80, 62)
TOP, BASE = Spot(64, 40, 56), Spot(64, 94, 62)
BEHIND = Spot(64, 54, 94)
QUARTERS = (Spot(34, 40, 46), Spot(94, 40, 46), Spot(34, 98, 46), Spot(94, 98, 46))

RELATIONS: tuple[Relation, ...] = (
    Relation(
        "alone",
        30,
        ("{0} {p}", "{0} {p}", "a picture of {0} {p}", "{0} standing {p}"),
        (_ANY,),
        (Spot(64, 68, 92),),
        (0,),
    ),
    Relation(
        "and",
        20,
        (
            "{0} and {1} {p}",
            "{0} and {1} playing {p}",
            "{0} with {1} {p}",
            "{0} and {1} standing next to each other {p}",
        ),
        (_ANY, _ANY),
        (LEFT, RIGHT),
        (0, 1),
    ),
    Relation(
        "wearing",
        14,
        ("{0} wearing {1} {p}", "{0} wearing {1} {p}", "{0} in {1} {p}"),
        (_ACTORS, ("head", "eyes")),
        (Spot(64, 79, 80), Spot(64, 0, 48)),
        (0, 1),
    ),
    Relation(
        "chasing",
        5,
        ("{0} chasing {1} {p}", "{0} running after {1} {p}"),
        (_ACTORS, ("animal", "person", "food", "vehicle")),
        (LEFT, RIGHT),
        (0, 1),
    ),
    Relation(
        "looking",
        5,
        ("{0} looking at {1} {p}", "{0} watching {1} {p}"),
        (_ACTORS, _ANY),
        (LEFT, RIGHT),
        (0, 1),
    ),
    Relation(
        "sitting",
        5,
        ("{0} sitting on {1} {p}", "{0} is sitting on {1} {p}"),
        (_ACTORS, ("vehicle", "thing", "food", "animal")),
        (TOP, BASE),
        (1, 0),
    ),
    Relation(
        "standing",
        5,
        ("{0} standing on {1} {p}", "{0} standing on top of {1} {p}"),
        (_ACTORS, ("vehicle", "thing", "food", "animal")),
        (TOP, BASE),
        (0, 1),
    ),
    Relation(
        "front",
        6,
        ("{0} in front of {1} {p}", "{0} with a view of {1} {p}"),
        (_ANY, ("building",)),
        (Spot(64, 98, 54), BEHIND),
        (1, 0),
    ),
    Relation(
        "with two",
        5,
        ("{0} with {1} and {2} {p}", "{0} between {1} and {2} {p}"),
        (_ANY, _ANY, _ANY),
        (TOP, *QUARTERS[2:]),
        (0, 1, 2),
    ),
    Relation(
        "front of",
        4,
        ("{0} with {1} in front of {2} {p}", "{0} and {1} in front of {2} {p}"),
        (_ANY, _ANY, ("building",)),
        (*QUARTERS[2:], BEHIND),
        (2, 0, 1),
    ),
    Relation(
        "background",
        4,
        ("{0} with {1} and {2} in the background {p}", "{0} with {1} and a view of {2} {p}"),
        (_ANY, _ANY, ("building", "thing")),
        (LEFT, RIGHT, TOP),
        (2, 0, 1),
    ),
    Relation(
        "four",
        3,
        ("{0}, {1}, {2} and {3} {p}", "{0} and {1} with {2} and {3} {p}"),
        (_ANY, _ANY, _ANY, _ANY),
        QUARTERS,
        (0, 1, 2, 3),
    ),
)


@dataclass(frozen=True)
class Scene:
    """One scene: everything that its caption, picture and views are made of."""

    seed: str
    place: Place
    relation: Relation
    sprites: tuple[Sprite, ...]
    spots: tuple[Spot, ...]
    looks: tuple[int, ...]  # number of each subject's look
    nouns: tuple[str, ...]  # as written in the caption
    caption: str


def with_article(noun: str) -> str:
    """The noun as a caption has it: "a cat", "an owl", "glasses"."""
    plural = noun.endswith("s") and not noun.endswith(("ss", "us"))
    if plural or noun in ("bread", "cheese", "corn", "maize"):
        return noun
    vowel = noun[0] in "aeiou" and not noun.startswith(("uni", "ufo", "eu"))
    return f"{'an' if vowel else 'a'} {noun}"


@functools.cache
def _pools(side: str) -> dict[str, tuple[Sprite, ...]]:
    sprites, _ = load()
    split = load_split()
    held = {"train": False, "seen": False, "held": True}[side]
    chosen = [s for s in sprites if (s.name in split.sprites) == held]
    return {kind: tuple(s for s in chosen if s.kind == kind) for kind in _ANY}


@functools.cache
def _breadth_pools() -> dict[str, tuple[Sprite, ...]]:
    sprites, _ = load_breadth()
    return {kind: tuple(s for s in sprites if s.kind == kind) for kind in _ANY}


def _draw_sprite(
    rng: random.Random, kinds: tuple[str, ...], side: str, named: bool, breadth: bool
) -> Sprite:
    pools = _breadth_pools() if breadth and rng.random() < BREADTH else _pools(side)
    pool = [s for kind in kinds for s in pools[kind]] or [
        s
        for kind in kinds
        for s in _pools("train")[kind]  # there is nothing else of this kind
    ]
    if named:
        pool = [s for s in pool if s.style == NAMED_STYLE] or pool
    return rng.choice(pool)


def sample_scene(
    seed: int, index: int, side: str = "train", breadth: bool = False, free: bool = False
) -> Scene:
    """The scene number `index` of a seed.

    `side`: "train" (allowed sprites and pairs), "seen" (training sprites; scenes of another random
    stream, for evaluation) or "held" (held-out sprites). `breadth`: subjects may be anything;
    `free`: they stand off their spots.
    """
    key = f"{side}-{seed}-{index}"
    rng = random.Random(key)
    split: Split = load_split()
    relation = rng.choices(RELATIONS, [r.weight for r in RELATIONS])[0]
    named = rng.random() < NAMED
    while True:
        sprites = tuple(
            _draw_sprite(rng, kinds, side, named, breadth and not named) for kinds in relation.kinds
        )
        distinct = len({s.noun for s in sprites}) == len(sprites)
        if distinct and (side == "held" or split.is_train(sprites)):
            break
    plain = named and all(s.style == NAMED_STYLE for s in sprites)
    place, changed = rng.choice(PLACES), 0 if plain else 0.6
    return compose(key, rng, relation, place, sprites, changed, free)


def compose(
    key: str,
    rng: random.Random,
    relation: Relation,
    place: Place,
    sprites: tuple[Sprite, ...],
    changed: float = 0.6,
    free: bool = False,
) -> Scene:
    """A scene of the given parts; words and looks are drawn from `rng`, free spots from `key`.

    `changed`: share of the subjects that don't look as their artist drew them.
    """
    nouns = []
    for sprite in sprites:
        synonyms = _BY_NOUN[sprite.noun].synonyms if sprite.noun in _BY_NOUN else ()
        nouns.append(rng.choice(synonyms) if synonyms and rng.random() < 0.2 else sprite.noun)
    looks = tuple(rng.randrange(1, LOOKS) if rng.random() < changed else 0 for _ in sprites)
    phrase = place.phrases[0] if rng.random() < 0.6 else rng.choice(place.phrases)
    caption = rng.choice(relation.templates).format(*map(with_article, nouns), p=phrase)
    spots = _off_spot(key, relation.spots) if free else relation.spots
    return Scene(
        key, place, relation, sprites, spots, looks, tuple(nouns), " ".join(caption.split())
    )


def _off_spot(key: str, spots: Sequence[Spot]) -> tuple[Spot, ...]:
    rng = random.Random("free-" + key)
    (right, down), scale = FREE_SHIFT, FREE_SCALE
    return tuple(
        Spot(
            spot.x + rng.uniform(-right, right),
            spot.y + rng.uniform(-down, down),
            spot.size * rng.uniform(*scale),
        )
        for spot in spots
    )


def is_named(sprite: Sprite, look: int) -> bool:
    """Whether the noun alone says what this looks like."""
    return sprite.style == NAMED_STYLE and look == 0
