"""Scenes of sticker world: what is said, where everything stands, and the pictures of it.

A scene is a function of (seed, index, side of the split). Each relation (the words of the paper's
Table 8) has one canonical layout, so that a caption and its subjects determine the picture: a prior
trained with a squared error learns the blur of whatever is undetermined. For the same reason a
subject stands in its scene as it was shown (colours, side it faces, turn), as the paper cuts its
subjects out of the very picture to be painted (Sec. 3.2), and a thing that is only named looks as
one artist drew it.
"""

import functools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from train.stickers.concepts import CONCEPTS, Concept
from train.stickers.places import PLACES, Place
from train.stickers.split import Split, load_split
from train.stickers.sprites import Sprite, load, load_breadth, picture_of, rasterize

SIZE_PX = 128
VIEW_PX = 110  # a subject's long side alone on white, as `masking.prepare_subject` frames it
LOOKS = 8  # ways that a sprite looks, its own included
NAMED_STYLE = "noto"  # what a thing looks like that has no picture
NAMED, BREADTH = 0.2, 0.35  # shares of scenes of such things, of subjects that are no concept
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


def sample_scene(seed: int, index: int, side: str = "train", breadth: bool = False) -> Scene:
    """The scene number `index` of a seed.

    `side`: "train" (allowed sprites and pairs), "seen" (training sprites; scenes of another random
    stream, for evaluation) or "held" (held-out sprites). `breadth`: subjects may be anything.
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
    return compose(key, rng, relation, rng.choice(PLACES), sprites, 0 if plain else 0.6)


def compose(
    key: str,
    rng: random.Random,
    relation: Relation,
    place: Place,
    sprites: tuple[Sprite, ...],
    changed: float = 0.6,
) -> Scene:
    """A scene of the given parts; words and looks are drawn from `rng`.

    `changed`: share of the subjects that don't look as their artist drew them.
    """
    nouns = []
    for sprite in sprites:
        synonyms = _BY_NOUN[sprite.noun].synonyms if sprite.noun in _BY_NOUN else ()
        nouns.append(rng.choice(synonyms) if synonyms and rng.random() < 0.2 else sprite.noun)
    looks = tuple(rng.randrange(1, LOOKS) if rng.random() < changed else 0 for _ in sprites)
    phrase = place.phrases[0] if rng.random() < 0.6 else rng.choice(place.phrases)
    caption = rng.choice(relation.templates).format(*map(with_article, nouns), p=phrase)
    return Scene(key, place, relation, sprites, looks, tuple(nouns), " ".join(caption.split()))


def is_named(sprite: Sprite, look: int) -> bool:
    """Whether the noun alone says what this looks like."""
    return sprite.style == NAMED_STYLE and look == 0


def turn_hue(picture: Image.Image, degrees: float, gain: float = 1.0) -> Image.Image:
    """Turns the colours of an RGBA picture about the grey axis (YIQ); greys stay."""
    if degrees == 0 and gain == 1:
        return picture
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    matrix = gain * np.linalg.inv(to_yiq) @ turn @ to_yiq
    rows = np.concatenate([matrix, np.zeros((3, 1))], axis=1).ravel()
    turned = picture.convert("RGB").convert("RGB", tuple(rows))
    turned.putalpha(picture.getchannel("A"))
    return turned


@dataclass(frozen=True)
class Look:
    """How a sprite is changed: colours, light, mirrored, turned (degrees), stretched in width."""

    hue: float = 0.0
    light: float = 1.0
    mirrored: bool = False
    tilt: float = 0.0
    stretch: float = 1.0


@functools.cache
def looks(name: str) -> tuple[Look, ...]:
    """The looks of a sprite: its own, then `LOOKS` − 1 others."""
    rng = random.Random("looks-" + name)
    return (
        Look(),
        *(
            Look(
                rng.uniform(30, 330) if rng.random() < 0.6 else 0.0,
                rng.uniform(0.85, 1.1),
                rng.random() < 0.5,
                rng.uniform(-12, 12),
                rng.uniform(0.85, 1.18),
            )
            for _ in range(LOOKS - 1)
        ),
    )


@functools.lru_cache(4096)
def dressed(name: str, look: int) -> Image.Image:
    """A sprite in one of its looks, RGBA, cut to what is visible."""
    change, picture = looks(name)[look], picture_of(name)
    picture = turn_hue(picture, change.hue, change.light)
    if change.stretch != 1:
        size = (max(1, round(picture.width * change.stretch)), picture.height)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    if change.mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if change.tilt:
        picture = picture.rotate(change.tilt, Image.Resampling.BICUBIC, expand=True)
    return picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox())


@functools.cache
def ground(place: Place) -> Image.Image:
    """The empty place, RGB 128 px."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{place.svg}</svg>'
    return rasterize(svg, SIZE_PX).convert("RGB")


def _fit(picture: Image.Image, size: float, flip: bool = False, tilt: float = 0) -> Image.Image:
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = size / max(picture.size)
    target = tuple(max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if tilt:
        picture = picture.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
    return picture


def _paste(canvas: Image.Image, picture: Image.Image, x: float, y: float) -> None:
    at = (round(x - picture.width / 2), round(y - picture.height / 2))
    canvas.paste(picture, at, picture)


@functools.cache
def _marks(relation: str) -> Image.Image:
    """The strokes that tell chasing and looking from standing side by side, RGBA 128 × 128."""
    canvas = Image.new("RGBA", (SIZE_PX, SIZE_PX))
    draw = ImageDraw.Draw(canvas)
    if relation == "chasing":
        for y in (76, 90, 104):
            draw.line((58, y, 69, y), fill=(255, 255, 255), width=2)
            draw.line((58, y + 2, 69, y + 2), fill=(110, 110, 110), width=1)
    if relation == "looking":
        for step in range(4):
            x, y = 56 + step * 5, 62 - (step % 3 > 0) * 2
            draw.ellipse((x, y, x + 3, y + 3), fill=(255, 255, 255), outline=(90, 90, 90))
    return canvas


def _front(scene: Scene) -> Iterator[tuple[Image.Image, float, float]]:
    """All that stands before the ground: RGBA pictures and their centres, from back to front."""
    yield _marks(scene.relation.name), SIZE_PX / 2, SIZE_PX / 2
    fitted = [
        (_fit(dressed(sprite.name, look), spot.size), spot)
        for sprite, look, spot in zip(scene.sprites, scene.looks, scene.relation.spots, strict=True)
    ]
    if scene.relation.name == "wearing":
        fitted[1] = _put_on(scene, fitted)
    for i in scene.relation.layers:
        picture, spot = fitted[i]
        yield picture, spot.x, spot.y


def render(scene: Scene, without_subjects: bool = False) -> Image.Image:
    """Paints the scene, RGB 128 × 128."""
    canvas = ground(scene.place).copy()
    if not without_subjects:
        for layer in _front(scene):
            _paste(canvas, *layer)
    return canvas


def matte(scene: Scene) -> Image.Image:
    """How much of each pixel is not ground, L 128 × 128."""
    canvas = Image.new("L", (SIZE_PX, SIZE_PX))
    for picture, x, y in _front(scene):
        alpha = picture.getchannel("A")
        at = (round(x - picture.width / 2), round(y - picture.height / 2))
        canvas.paste(255, (*at, at[0] + alpha.width, at[1] + alpha.height), alpha)
    return canvas


def _put_on(scene: Scene, fitted: list[tuple[Image.Image, Spot]]) -> tuple[Image.Image, Spot]:
    """What is worn follows its wearer: hats overlap the top by 12 px, glasses sit at 2/5."""
    (wearer, spot), (worn, worn_spot) = fitted
    if scene.sprites[1].kind == "head":
        top = spot.y - wearer.height / 2
        return worn, replace(worn_spot, x=spot.x, y=top + 12 - worn.height / 2)
    return worn, replace(worn_spot, x=spot.x, y=spot.y - 0.08 * wearer.height)


def stand(sprite: Sprite, place: Place, spot: Spot) -> Image.Image:
    """The sprite as its artist drew it, alone at a place on a spot, RGB 128 × 128."""
    canvas = ground(place).copy()
    _paste(canvas, _fit(dressed(sprite.name, 0), spot.size), spot.x, spot.y)
    return canvas


def sprite_view(name: str, look: int, key: str, loose: bool = False) -> Image.Image:
    """A sprite alone on white, RGB 128 × 128; small differences are drawn from `key`.

    Framed as the masking of a user's picture frames it (paper, Sec. 3.2), turned up to 1°, at
    0.98-1 of that size, in a light changed by up to 4 %. A loose view is mirrored in one of five,
    turned up to 8°, at 0.8-1 of that size, and moved up to 3 px.
    """
    rng = random.Random(f"view-{name}-{key}")
    turn, smallest, shift, mirrored = (8, 0.8, 3, 0.2) if loose else (1, 0.98, 0, 0)
    picture = turn_hue(dressed(name, look), rng.uniform(-3, 3), rng.uniform(0.96, 1.04))
    size, tilt = VIEW_PX * rng.uniform(smallest, 1), rng.uniform(-turn, turn)
    fitted = _fit(picture, size, rng.random() < mirrored, tilt)
    canvas = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    _paste(canvas, fitted, 64 + rng.uniform(-shift, shift), 64 + rng.uniform(-shift, shift))
    return canvas


def subject_view(scene: Scene, number: int) -> Image.Image:
    """Subject `number` of a scene alone on white."""
    key = f"{scene.seed}-{number}"
    return sprite_view(scene.sprites[number].name, scene.looks[number], key)
